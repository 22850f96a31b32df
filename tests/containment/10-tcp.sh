# shellcheck shell=bash
# TCP in every way that a program may open a connection.  Each address is named by no policy.
fresh
try "IPv4 literal" layer=ebpf attempt="$A probe tcp $D 4000" harm="arrived tcp $D 4000" \
	control="$A probe tcp $OPEN 4000" log="action=deny dst_host=$D dst_port=4000 binary=$A deny_reason=\"no matching network policy\""
fresh
try "raw ICMP socket" layer=seccomp attempt="$A rawicmp $D" harm="arrived icmp $D" \
	control="$A probe socket 2 1 0" host='no_cap CAP_NET_RAW'
