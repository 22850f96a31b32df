/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * abi.h - everything the kernel programs and user space agree on.
 *
 * The only header that bpf/ shares with policy/, proxy/ and user/.  It carries the meaning of every
 * field.  All integers are host order unless a comment says network order.  A structure that crosses
 * the boundary has a _Static_assert on its size; change one and OSH_ABI_VERSION together.
 *
 * One word for one thing:
 *   block       a key of network_policies; bit number = position in the file, 0 first
 *   path id     a number for one interned path of an executable or script; never reused, 0 = none
 *   generation  number of a policy revision inside one sandbox, 1 first; 0 = no policy
 *   slot        which of the two places of the outer map holds an image; generation & 1
 *   name        a DNS name that the resolver gave a synthetic IPv4 address
 *   flow        a TCP connection that the connect hook turned to the proxy
 *   native      a TCP connection that the connect hook sent to a real address
 */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define OSH_ABI_VERSION 2

#define OSH_PATH_MAX 512	/* bytes of an interned path, NUL included; longer: no path id */
#define OSH_NAME_MAX 256	/* bytes of a DNS name in text form, NUL included, no trailing dot */
#define OSH_ANCESTORS_MAX 16	/* path ids of ancestors; who has more has no identity (OSH_TAINT_ANCESTORS) */
#define OSH_BLOCKS_MAX 512	/* blocks of one policy */
#define OSH_BLOCK_WORDS (OSH_BLOCKS_MAX / 64)
#define OSH_PIN_MAX 8		/* real addresses pinned to a native name */
#define OSH_SLOTS 2

#define OSH_SYNTHETIC_NET 0xc6120000u	/* 198.18.0.0/15 (RFC 2544), host order */
#define OSH_SYNTHETIC_MASK 0xfffe0000u

/* --------------------------------------------------------------------------- address classes -- */

/* RFC 6890 and the IANA special-purpose registries, folded to what the policy language names. */
enum osh_addr_class {
	OSH_ADDR_PUBLIC = 0,
	OSH_ADDR_PRIVATE,	/* RFC 1918, RFC 6598, RFC 4193: only if exactly named or in allowed_ips */
	/* From here on: never allowed, whatever the policy says. */
	OSH_ADDR_LOOPBACK,
	OSH_ADDR_LINK_LOCAL,
	OSH_ADDR_UNSPECIFIED,
	OSH_ADDR_MULTICAST,
	OSH_ADDR_RESERVED,
};
#define OSH_ADDR_NEVER(c) ((c) >= OSH_ADDR_LOOPBACK)

/* a: IPv4 address, host order. */
static inline enum osh_addr_class osh_addr_class4(__u32 a)
{
	if ((a >> 24) == 127)
		return OSH_ADDR_LOOPBACK;
	if ((a >> 24) == 0)
		return OSH_ADDR_UNSPECIFIED;
	if (a == 0xa83f8110 || a == 0x646464c8)
		return OSH_ADDR_RESERVED; /* 168.63.129.16 and 100.100.100.200, which clouds use as 169.254.169.254 */
	if ((a >> 24) == 10 || (a >> 20) == 0xac1 || (a >> 16) == 0xc0a8 || (a >> 22) == 0x191)
		return OSH_ADDR_PRIVATE; /* 10/8 172.16/12 192.168/16 100.64/10 */
	if ((a >> 16) == 0xa9fe)
		return OSH_ADDR_LINK_LOCAL;
	if ((a >> 28) == 0xe)
		return OSH_ADDR_MULTICAST;
	if ((a >> 28) == 0xf || (a >> 17) == (0xc612 >> 1) || (a >> 8) == 0xc00000 ||
	    (a >> 8) == 0xc00002 || (a >> 8) == 0xc63364 || (a >> 8) == 0xcb0071 ||
	    (a >> 8) == 0xc05863)
		return OSH_ADDR_RESERVED; /* 240/4 198.18/15 192.0.0/24 192.0.2/24 198.51.100/24
					     203.0.113/24 192.88.99/24 */
	return OSH_ADDR_PUBLIC;
}

/* w: IPv6 address as four 32-bit words, each converted to host order, most significant first.
 * Forms that embed an IPv4 address (mapped, compatible, NAT64, 6to4) have the class of that address;
 * Teredo and ISATAP-like forms cannot be decoded cheaply and are reserved. */
static inline enum osh_addr_class osh_addr_class6(const __u32 w[4])
{
	if (!w[0] && !w[1] && !w[2]) {
		if (w[3] == 0)
			return OSH_ADDR_UNSPECIFIED;
		if (w[3] == 1)
			return OSH_ADDR_LOOPBACK;
		return osh_addr_class4(w[3]); /* RFC 4291 2.5.5.1, deprecated */
	}
	if (!w[0] && !w[1] && w[2] == 0xffff)
		return osh_addr_class4(w[3]); /* ::ffff:0:0/96 */
	if (!w[0] && !w[1] && w[2] == 0xffff0000)
		return osh_addr_class4(w[3]); /* ::ffff:0:a.b.c.d, RFC 2765 */
	if (w[0] == 0x0064ff9b && !w[1] && !w[2])
		return osh_addr_class4(w[3]); /* RFC 6052 */
	if (w[0] == 0x0064ff9b)
		return OSH_ADDR_RESERVED; /* RFC 8215 64:ff9b:1::/48 */
	if ((w[0] >> 16) == 0x2002)
		return osh_addr_class4((w[0] << 16) | (w[1] >> 16)); /* RFC 3056 */
	if ((w[0] >> 24) == 0xff)
		return OSH_ADDR_MULTICAST;
	if ((w[0] >> 22) == (0xfe800000u >> 22))
		return OSH_ADDR_LINK_LOCAL;
	if ((w[0] >> 22) == (0xfec00000u >> 22))
		return OSH_ADDR_PRIVATE; /* site-local, RFC 3879 */
	if ((w[0] == 0xfd000ec2 || w[0] == 0xfd2000ce) && !w[1] && !w[2] && w[3] == 0x254)
		return OSH_ADDR_RESERVED; /* metadata of clouds again */
	if ((w[0] >> 25) == (0xfc000000u >> 25))
		return OSH_ADDR_PRIVATE;
	if (w[0] == 0x20010000 || w[0] == 0x20010db8 || (!w[1] && w[0] == 0x01000000) ||
	    (w[0] >> 12) == (0x3fff0000u >> 12))
		return OSH_ADDR_RESERVED; /* Teredo, documentation, discard-only */
	if ((w[0] >> 29) != 1)
		return OSH_ADDR_RESERVED; /* outside global unicast 2000::/3 */
	return OSH_ADDR_PUBLIC;
}

/* --------------------------------------------------------------------------------- the image -- */
/*
 * The compiled policy: one flat, position-independent run of 4096-byte pages.  In the kernel a page is
 * one element of an array map; in user space the same map is mmapped read-only, or the image is a buffer.
 * Offsets are in bytes from the start of the image.  The tables below start on a page boundary and no
 * element crosses a page.  Everything the kernel reads is in this header; what only the proxy reads (the
 * L7 part) is described in policy/image.h and begins at l7_off.
 *
 * Automata.  A deterministic automaton over bytes with displaced rows:
 *     step(s, b):  c = cells[states[s].base + b];  return c.check == s ? c.next : states[s].def;
 * State 0 is dead: base 0, def 0, accept 0, and no cell has check 0.
 * Every base + 255 is below ncells (validated by both readers).
 *
 *   bin   input: the bytes of an absolute path.  accept: index into the table of binary sets
 *   dst   input: 'n' host 0x00 port  |  '4' 4 address bytes port  |  '6' 16 address bytes port
 *         host in lower case without trailing dot; port and address in network order.
 *         accept after the port: index into the table of destination sets.
 *         accept after 0x00 or the last address byte (before the port): the union over all ports
 *         (what the resolver asks), eps then empty.
 * Accept 0 is the empty set in both tables (element 0 is all zero).
 */
#define OSH_IMG_MAGIC 0x4d494853304f5348ull /* "HSO0SHIM" */
#define OSH_IMG_VERSION 1
#define OSH_IMG_PAGE 4096u

struct osh_img_state {
	__u32 base;
	__u32 def;
	__u32 accept;
	__u32 pad;
};
_Static_assert(sizeof(struct osh_img_state) == 16, "abi");

struct osh_img_cell {
	__u32 check;
	__u32 next;
};
_Static_assert(sizeof(struct osh_img_cell) == 8, "abi");

struct osh_img_dfa {
	__u32 states_off; /* struct osh_img_state[nstates] */
	__u32 nstates;
	__u32 cells_off; /* struct osh_img_cell[ncells] */
	__u32 ncells;
	__u32 start;
	__u32 pad;
};

/* Which blocks a path matches.  self: as executable or script; anc: as ancestor or replaced image;
 * the t variants: when the process is tainted (entries with allow_tainted, and the patterns that match
 * every path, since taint takes nothing from those). */
struct osh_img_binset {
	__u64 self[OSH_BLOCK_WORDS];
	__u64 anc[OSH_BLOCK_WORDS];
	__u64 tself[OSH_BLOCK_WORDS];
	__u64 tanc[OSH_BLOCK_WORDS];
};
_Static_assert(sizeof(struct osh_img_binset) == 256, "abi");

/* Which blocks a destination matches.  any: with any endpoint; proxy: with an endpoint that needs the
 * proxy (inspected, or tls: skip); native: with an L4 endpoint that does not. */
struct osh_img_dstset {
	__u64 any[OSH_BLOCK_WORDS];
	__u64 proxy[OSH_BLOCK_WORDS];
	__u64 native[OSH_BLOCK_WORDS];
	__u32 eps_off; /* L7: offset of __u32 endpoint index[neps]; user space only */
	__u32 neps;
	__u64 pad[7];
};
_Static_assert(sizeof(struct osh_img_dstset) == 256, "abi");

struct osh_img_hdr {
	__u64 magic;
	__u32 version;
	__u32 nblocks;
	__u64 size; /* bytes, a multiple of OSH_IMG_PAGE, below 1 GiB */
	struct osh_img_dfa bin;
	struct osh_img_dfa dst;
	__u32 binset_off; /* struct osh_img_binset[nbinsets] */
	__u32 nbinsets;
	__u32 dstset_off; /* struct osh_img_dstset[ndstsets] */
	__u32 ndstsets;
	__u32 l7_off; /* struct img_l7_hdr, policy/image.h */
	__u32 pad;
	__u8 sha256[32]; /* of the policy's canonical text; for people */
};
_Static_assert(sizeof(struct osh_img_hdr) == 128, "abi");

/* `current`: the one word whose store is the reload. */
#define OSH_CURRENT(gen) (((__u64)(gen) << 1) | ((gen)&1))
#define OSH_CURRENT_GEN(w) ((w) >> 1)
#define OSH_CURRENT_SLOT(w) ((w)&1)

/* --------------------------------------------------------------------------------- processes -- */

/* Variables that put foreign code into a program (design: taint).  Index + 1 is osh_ident.taint. */
#define OSH_TAINT_VARS(X)                                                                         \
	X("LD_PRELOAD") X("LD_AUDIT") X("LD_LIBRARY_PATH") X("LD_ORIGIN_PATH") X("LD_PROFILE")     \
	X("GCONV_PATH") X("LOCPATH") X("OPENSSL_CONF") X("OPENSSL_ENGINES") X("OPENSSL_MODULES")   \
	X("SSLKEYLOGFILE") X("SASL_PATH") X("SASL_CONF_PATH") X("GSS_MECH_CONFIG") X("KRB5_CONFIG") \
	X("BUN_OPTIONS") X("BUN_INSPECT_PRELOAD") X("GLIBC_TUNABLES")           \
	X("MALLOC_TRACE") X("GTK_MODULES") X("QT_PLUGIN_PATH") X("GIO_EXTRA_MODULES")   \
	X("GIO_MODULE_DIR") X("GTK_PATH") X("GDK_PIXBUF_MODULE_FILE") X("DOTNET_STARTUP_HOOKS")    \
	X("CORECLR_PROFILER*") X("ELECTRON_RUN_AS_NODE") X("BUN_INSPECT") X("BUN_INSPECT_CONNECT_TO") \
	X("BUN_INSPECT_NOTIFY")
#define OSH_TAINT_ENV_TOO_LONG 255 /* osh_ident.taint: environment longer than the hook scans */
#define OSH_TAINT_ENV_UNREADABLE 254
#define OSH_TAINT_CODE 253   /* code mapped from a file that the agent may write (BPF LSM) */
#define OSH_TAINT_TRACED 252 /* traced, or its memory opened for writing (BPF LSM) */
#define OSH_TAINT_ANCESTORS 251 /* too many to keep: no identity at all, nor for what it starts */
#define OSH_TAINT_FILTER 250 /* executed under a system call filter from inside the sandbox */
#define OSH_TAINT_PATHS 249	 /* no room for its path among the known ones: the same */

/* Variables that put code into an interpreter: they take the script part of the identity.  A '*' at the end: every
 * variable that begins so. */
#define OSH_INTERP_VARS(X)                                                                        \
	X("NODE_OPTIONS") X("NODE_PATH") X("PYTHONPATH") X("PYTHONSTARTUP") X("PYTHONHOME")        \
	X("PYTHONINSPECT") X("PYTHONWARNINGS") X("PYTHONBREAKPOINT") X("RUBYGEMS_GEMDEPS") X("BUNDLE_GEMFILE") \
	X("PYTHONPLATLIBDIR") X("PYTHONUSERBASE") X("PERL5OPT") X("PERL5LIB") X("PERLLIB") X("PERL5DB") \
	X("RUBYOPT") X("RUBYLIB") X("BASH_FUNC_*") X("SHELLOPTS") X("BASHOPTS") X("PS4") X("PYTHONPYCACHEPREFIX") \
	X("BASH_ENV") X("ENV") X("ZDOTDIR") X("GIT_SSH_COMMAND") X("GIT_SSH") \
	X("GIT_EXEC_PATH") X("GIT_CONFIG_COUNT") X("GIT_CONFIG_GLOBAL") X("GIT_PROXY_COMMAND")     \
	X("GIT_EXTERNAL_DIFF") X("GIT_ASKPASS") X("SSH_ASKPASS") X("PAGER") X("GIT_PAGER") X("EDITOR") \
	X("JAVA_TOOL_OPTIONS") X("_JAVA_OPTIONS") X("JDK_JAVA_OPTIONS") X("CLASSPATH") X("LUA_INIT") \
	X("LUA_PATH") X("LUA_CPATH") X("PHPRC") X("PHP_INI_SCAN_DIR") X("DENO_DIR")

/* Both lists as the exec hook compares them: name and '=' as three words, laid out by user space before loading. */
#define OSH_ENV_VARS_MAX 96
struct osh_env_var {
	__u64 w[3], mask[3];
	__u32 taint; /* value of osh_ident.taint; 0: takes the script */
	__u32 pad;
};

/* Who asks: what the exec hook recorded, copied by value into events and flows. */
struct osh_ident {
	__u32 exe;	/* path id; 0: executable without a path (memfd, deleted): matches nothing */
	__u32 script;	/* path id of the script that the kernel was asked to run, or 0 */
	__u32 taint;	/* 0, or 1 + index in OSH_TAINT_VARS, or another OSH_TAINT_*; sticks to children */
	__u32 nanc;	/* entries of anc, newest first */
	__u32 anc[OSH_ANCESTORS_MAX];
};
_Static_assert(sizeof(struct osh_ident) == 80, "abi");

/* Union of the blocks that an identity matches under generation gen; filled on first use. */
struct osh_bits_cache {
	__u64 gen; /* OSH_BITS_TAG(); written last; 0: empty */
	__u64 bits[OSH_BLOCK_WORDS];
};

/* A record may become tainted while it lives: then what was cached for it counts no more. */
#define OSH_BITS_TAG(gen, taint) ((__u64)(gen) << 1 | ((taint) != 0))

/* What a table's entry gave under a generation.  An entry that was just removed may be another's memory already (the
 * tables are not preallocated), so the value names its owner in the same 64-bit store. */
struct osh_word_cache {
	__u64 gen;  /* written last; 0: empty */
	__u64 word; /* value << 32 | key of the entry */
};

/* Map procs: key __u32 tgid (initial PID namespace). */
struct osh_proc {
	__u64 start_time; /* group leader's start_time (ns, boot clock): a reused pid has no record */
	__u64 exec_id;	  /* self_exec_id after the exec: a missed exec leaves no identity */
	__u64 deny_full;  /* boot clock ns when it may again report a whole burst of denials, each by itself */
	__u64 allow_full; /* the same for connections that are allowed */
	struct osh_ident id;
	struct osh_bits_cache cache[OSH_SLOTS];
};

/* Map paths: key __u32 path id.  Map path_ids: key char[OSH_PATH_MAX] zero-padded, value __u32.  An id is in `paths` as long
 * as a process or a connection has it, and is never given to another path: one that is not there says that what its holder
 * matches is unknown, and an identity with such an id matches nothing, whatever its other paths are. */
struct osh_path {
	__u32 len; /* without NUL */
	__u32 round; /* of the collection in which a fork passed it on (user/paths.c) */
	struct osh_word_cache cache[OSH_SLOTS]; /* index of binary set, path id */
	char path[OSH_PATH_MAX]; /* NUL-terminated, zero-padded */
};

/* ------------------------------------------------------------------------------------- names -- */

struct osh_pin {
	__u8 family; /* 4 or 6 */
	__u8 pad[3];
	__u32 failed; /* kernel: boot seconds of the last failed connect, 0 none */
	__u8 addr[16]; /* network order; IPv4 in the first four bytes */
};
_Static_assert(sizeof(struct osh_pin) == 24, "abi");

/* Map names: key __u32 synthetic address, network order.  Written by the proxy (whole values), read by
 * the kernel, which writes cache, rotate, used and pin.failed. */
struct osh_name {
	__u64 expires; /* boot clock ns after which pins are not used.  npins 0: expires 0 never resolved; else an
			  address of the answer was refused, it stands in pins[0] for the log */
	__u64 used;    /* boot clock ns of the last connect, for eviction */
	__u32 npins;
	__u32 rotate;
	struct osh_pin pins[OSH_PIN_MAX]; /* checked against the policy by the resolver */
	struct osh_word_cache cache[OSH_SLOTS]; /* state of dst after 'n' host 0x00, synthetic address */
	__u32 len;
	char name[OSH_NAME_MAX]; /* lower case, NUL-terminated */
	__u32 pad;
};

/* ------------------------------------------------------------------------------------- flows -- */

/* A destination as the program meant it. */
struct osh_dst {
	__u32 name_addr; /* synthetic address, network order, when it was a name; else 0 */
	__u16 port;	 /* host order */
	__u8 family;	 /* 4 or 6: of addr */
	__u8 pad;
	__u8 addr[16]; /* literal address (name_addr == 0), or the real address dialled; network order */
};
_Static_assert(sizeof(struct osh_dst) == 24, "abi");

enum osh_flow_kind {
	OSH_FLOW_NATIVE = 0,
	OSH_FLOW_L7 = 1,    /* an endpoint that matched needs the proxy */
	OSH_FLOW_RELAY = 2, /* L4 endpoint whose real address the socket's family cannot reach, or that has
			       no pin yet: relayed unopened, but judged and checked all the same */
	OSH_FLOW_DNS = 3,   /* TCP port 53, to the resolver */
};

/* Left by the client's sockops program for the acceptor; storage `accepted` of the accepted socket (user
 * space reads it with the socket's descriptor as key). */
struct osh_flow {
	__u64 gen;    /* generation that admitted it */
	__u64 cookie; /* of the client's socket */
	__u32 pid;    /* tgid, initial PID namespace */
	__u32 uid;
	__u32 kind; /* enum osh_flow_kind */
	__u32 pad;
	struct osh_ident id;
	struct osh_dst dst;
};
_Static_assert(sizeof(struct osh_flow) == 136, "abi");

/* Map flows: key.  IPv4 addresses in mapped form. */
struct osh_flow_key {
	__u8 addr[16]; /* the client's, network order */
	__u16 port;    /* the client's, host order */
	__u16 pad[3];
};
_Static_assert(sizeof(struct osh_flow_key) == 24, "abi");

/* Socket storage `socks`: what every Internet socket of the sandbox carries, from sock_create on.  It is also the record
 * of admitted native connections: user space reads it, socket by socket, through sock_diag(7). */
struct osh_sock {
	__u32 tag;	 /* of the sandbox */
	__u8 has_flow;	 /* flow waits for TCP_CONNECT_CB */
	__u8 has_peer;	 /* peer_* is what the program asked for */
	__u8 peer_family;
	__u8 has_key;	 /* key names an entry of flows */
	__u16 peer_port; /* host order */
	__u16 pad;
	__u32 pin_name; /* native by name: synthetic address and pin index, to note a failed connect; else 0 */
	__u32 pin_index;
	__u32 pad2;
	__u8 peer_addr[16];
	struct osh_flow_key key;
	struct osh_flow flow; /* kind OSH_FLOW_NATIVE: dst.addr is the real address dialled.  gen 0: none that a
				 policy admitted; on loopback (OSH_FLOW_NATIVE), or to the resolver */
};
_Static_assert(sizeof(struct osh_sock) == 200, "abi");

/* Map dns_clients: key struct osh_flow_key of the asking UDP socket. */
struct osh_dns_client {
	struct osh_ident id;
	__u32 pid;
	__u32 has_id; /* 0: the asker had no valid record */
};
_Static_assert(sizeof(struct osh_dns_client) == 88, "abi");

/* ------------------------------------------------------------------------------------ events -- */

enum osh_action { OSH_ALLOW = 1, OSH_DENY = 2 };

enum osh_reason {
	OSH_R_NONE = 0,
	OSH_R_NO_MATCH,	      /* "no matching network policy" */
	OSH_R_BINARY,	      /* "binary not in policy NAME" (user space finds the block) */
	OSH_R_NO_IDENTITY,    /* "no identity" */
	OSH_R_TAINTED,	      /* "tainted: VARIABLE" (id.taint) */
	OSH_R_NAME_EXPIRED,   /* "name expired" */
	OSH_R_ADDRESS,	      /* "address not allowed (ADDRESS: CLASS)" (event.aux: enum osh_addr_class) */
	OSH_R_PROTOCOL,	      /* "protocol not allowed (PROTO)" (event.proto, event.aux: socket type; for
				 OSH_EV_SOCKET OSH_SOCKET_AUX) */
	OSH_R_HOST_LOOPBACK,  /* "loopback service of the host": asked for, or met at a packet */
	OSH_R_NO_POLICY,      /* no policy loaded yet: "no policy loaded" */
	OSH_R_BIND,	      /* "port reserved by the host" */
	OSH_R_SOCKOPT,	      /* "socket option not allowed (N)": aux the option, proto the level */
	OSH_R_UNIX,	      /* "unix socket not allowed" */
	OSH_R_OUTSIDE,	      /* "process outside the sandbox" */
	OSH_R_NO_PROXY,	      /* "the proxy is not there": its listener is gone or somebody else's */
};

enum osh_event_kind {
	OSH_EV_CONNECT = 1, /* connect() or sendto() of an Internet socket */
	OSH_EV_SOCKET = 2,  /* socket() refused: by seccomp, BPF LSM or sock_create */
	OSH_EV_BIND = 3,
	OSH_EV_SOCKOPT = 4,
	OSH_EV_UNIX = 6,   /* a Unix socket of somebody outside */
	OSH_EV_PROCESS = 7, /* a signal to, or the memory of, a process outside */
	OSH_EV_LATE = 5, /* not for the log: a native connect crossed a swap, its socket is only now in the kernel's tables */
};

#define OSH_SOCKET_AUX(family, type) (((__u32)(family) & 0xffff) << 16 | ((__u32)(type) & 0xffff))
#define OSH_SOCKET_FAMILY(aux) ((aux) >> 16)
#define OSH_SOCKET_TYPE(aux) ((aux) & 0xffff)

/* Ring buffer events: one fixed-size record each. */
struct osh_event {
	__u64 time; /* boot clock, ns (bpf_ktime_get_boot_ns) */
	__u64 gen;
	__u32 pid; /* tgid */
	__u32 uid;
	__u32 kind;	/* enum osh_event_kind */
	__u32 action;	/* enum osh_action */
	__u32 reason;	/* enum osh_reason */
	__u32 aux;
	__u32 proto;	/* IPPROTO_* */
	__u32 verdict;	/* allow: enum osh_flow_kind */
	__u32 pad0;
	__u32 pad;
	struct osh_ident id;
	struct osh_dst dst;
};
_Static_assert(sizeof(struct osh_event) == 160, "abi");

/* Denials of one process beyond OSH_DENY_BURST at once and OSH_DENY_PER_S from then on are not sent one by one: they are
 * counted here, and user space makes one line of them.  While the ring is more than half full a process may send only the
 * first OSH_EVENTS_CROWDED of its burst, so that one which denies seldom finds room however many others flood. */
#define OSH_DENY_BURST 512u
#define OSH_DENY_PER_S 16u
#define OSH_EVENTS_CROWDED 16u
/* Connections that are allowed, the same way.  What a build or the installation of a large project makes stays below this
 * (thousands, from many processes); a process that does not stop fills a segment of the log in ten minutes, not in five
 * seconds. */
#define OSH_ALLOW_BURST 8192u
#define OSH_ALLOW_PER_S 100u

/* Map suppressed: mmapped array, a slot for each process that has something counted, found by hash: denials in the first
 * OSH_SUPPRESSED_EACH, allowed connections, which cannot take the place of those, in the others.  The kernel claims a
 * slot (owner 0 -> key) and counts; user space tells and frees it when the process is gone.  All callers without a record
 * share the owner OSH_OWNER_NOBODY. */
#define OSH_SUPPRESSED_EACH 1024
#define OSH_SUPPRESSED_MAX (2 * OSH_SUPPRESSED_EACH)
#define OSH_SUPPRESSED_PROBES 8
#define OSH_OWNER_NOBODY 1ull
#define OSH_OWNER(tgid, start_time) (((__u64)(tgid) << 40 ^ (__u64)(start_time)) | 2)
struct osh_suppressed {
	__u64 owner; /* 0: free */
	__u64 count; /* ever, under this owner; kernel only, atomic */
	__u64 told;  /* of them; user space only */
	__u64 since; /* boot clock: the first that is not told */
	__u64 seq;   /* odd while last is being written */
	__u64 pad;
	struct osh_event last;
};
_Static_assert(sizeof(struct osh_suppressed) == 208, "abi");

/* Map told: mmapped array of user space's own, so that who clears up after a dead supervisor knows what it had told. */
enum osh_told {
	OSH_TOLD_WRITTEN = 0, /* events of the ring that are in the log's file */
	OSH_TOLD_LOST_DENY,   /* of the statistics, stated in the log */
	OSH_TOLD_LOST_ALLOW,
	OSH_TOLD_SUPPRESSED_OTHER,
	OSH_TOLD_ALLOWED_OTHER,
	OSH_TOLD_HELD, /* taken from the ring, the slots or the proxy, and not in the log's file: at least as many as are */
	OSH_TOLD_MAX,
};

/* Map stats: per-CPU array of counters. */
enum osh_stat {
	OSH_STAT_EVENT_LOST_DENY = 0, /* ring buffer full */
	OSH_STAT_EVENT_LOST_ALLOW,
	OSH_STAT_NO_PATH,	/* exec whose path could not be resolved */
	OSH_STAT_PROC_LOST,	/* procs full or update failed: process without identity */
	OSH_STAT_FLOW_LOST,	/* flow or native table full: connection denied */
	OSH_STAT_INBOUND,	/* packets from outside dropped */
	OSH_STAT_OUTBOUND,	/* packets to outside dropped: not what was decided */
	OSH_STAT_NO_FLOW,	/* connections to the proxy without a flow record: reset */
	OSH_STAT_EVENT_LOST_LATE, /* OSH_EV_LATE: no line of the log */
	OSH_STAT_SUPPRESSED_OTHER, /* denials counted without a slot of their own */
	OSH_STAT_ALLOWED_OTHER, /* allowed connections likewise */
	OSH_STAT_MAX,
};
