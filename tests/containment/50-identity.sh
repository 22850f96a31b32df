# shellcheck shell=bash
# Whose connection it is: the file that the kernel executed, and its recorded ancestry.  $B/allowed-N may reach its own
# address, $B/alone-N too but not what it starts, $B/script the address of scripts; copies and everything else none.
B=$T/bin TMPD=$W/tmp
mkdir -p "$B" "$TMPD"
chown sandbox: "$TMPD"
ADDR=() IDN=0 # addresses that only $B may reach, one for each check
for k in {1..64}; do fresh; ADDR[k]=$D; done
cp "$A" "$B/allowed"
for k in 1 2 3; do cp "$A" "$B/over-$k"; done
for k in 1 2 3; do cp "$A" "$B/alone-$k"; done
cp "$A" "$W/copy"
printf '#!/bin/bash\nexec 3<>"/dev/tcp/$1/4000" && echo reached >&3\n' >"$B/script"
printf '#!/usr/bin/env bash\nexec 3<>"/dev/tcp/$1/4000" && echo reached >&3\n' >"$B/envscript"
chmod 755 "$B"/*
chown -R sandbox: "$B" "$W/copy"
# File systems whose device the kernel and stat() name differently.
mkdir -p "$T/ovl/lower" "$T/ovl/upper" "$T/ovl/work" "$T/ovl/m"
cp "$A" "$T/ovl/lower/tool"
chmod 755 "$T/ovl/lower/tool"
OVERLAY=0
mount -t overlay overlay -o "lowerdir=$T/ovl/lower,upperdir=$T/ovl/upper,workdir=$T/ovl/work" "$T/ovl/m" 2>/dev/null &&
	{ OVERLAY=1; on_exit "umount -l $T/ovl/m"; cp "$A" "$T/ovl/m/upper"; chmod 755 "$T/ovl/m/upper"; }
[ $OVERLAY = 1 ] || echo "# identity: no overlayfs in this kernel: its checks are left out"
# Of btrfs each subvolume has a device of its own for stat(), the superblock another one for the kernel.
BTR=$T/btr/m BTRFS=0 BTR_SEEN=()
mkdir -p "$BTR" "$T/btr/s"
btrfs_up() {
	modprobe -qa loop btrfs 2>/dev/null
	grep -qw btrfs /proc/filesystems || { echo "not in this kernel"; return 1; }
	truncate -s 128M "$T/btr/image" && mkfs.btrfs -q --mixed "$T/btr/image" && mount -o loop "$T/btr/image" "$BTR" || return 1
	btrfs -q subvolume create "$BTR/sub" && mount --bind "$BTR/sub" "$T/btr/s" && mkdir "$BTR/rw" && cp "$A" "$BTR/root" &&
		cp "$A" "$BTR/sub/tool" && cp "$A" "$BTR/sub/over" && chmod 755 "$BTR/root" "$BTR/sub"/* && chown -R sandbox: "$BTR"
}
# The loop device goes with its mount, which sandboxes have copies of.
btrfs_down() {
	local m
	for m in "$T/btr/s" "$BTR"; do umount -l "$m" 2>/dev/null; done
	rm -f "$T/btr/image"
}
on_exit btrfs_down
if WHY=$(btrfs_up 2>&1); then BTRFS=1; else echo "# identity: no btrfs, its checks are left out: $WHY"; fi
class_down() { btrfs_down; }
# Read-only directories below writable ones: in the workdir and, of another user, in a private home.
nest() { # nest DIR: with an allowed program and an allowed script
	mkdir -p "$1"
	cp "$A" "$1/allowed"
	cp "$B/script" "$1/script"
	chmod 755 "$1"/*
}
for k in 1 2 3; do nest "$W/nest$k/a/tools"; done
HU=osht$$ H=$T/home
user_up "$HU" "$H"
nest "$H/.local/share/tool"
nest "$H/src/work/tools"
if [ "$ENFORCED" = 1 ]; then chown -R "$HU:" "$H"; else chown -R sandbox: "$H"; fi
chmod 755 "$H"
chown -R sandbox: "$W"/nest?
chmod 777 "$W/out" # both users leave results there
{
	echo 'network_policies:'
	echo '  id:'
	echo '    endpoints:'
	printf '      - {host: "%s", port: 4000}\n' "${ADDR[@]}" "$OPEN"
	echo "    binaries: [{path: $B/allowed}, {path: $B/over-*}, {path: $B/script}, {path: $B/envscript}, {path: $T/ovl/m/tool}, {path: $T/ovl/m/upper}, {path: $BTR/root}, {path: $BTR/sub/tool}, {path: $BTR/sub/over}, {path: $T/btr/s/tool}, {path: $W/nest*/a/tools/*}, {path: $H/.local/share/tool/allowed}, {path: $H/src/work/tools/allowed}]"
	echo '  alone:'
	echo '    endpoints:'
	printf '      - {host: "%s", port: 4000}\n' "${ADDR[@]}" "$OPEN"
	echo "    binaries: [{path: $B/alone-*, ancestors: false}]"
} | policy id.yaml
[ $BTRFS = 0 ] || BTR_SEEN=(--ro "$BTR/root" --ro "$BTR/sub" --ro "$T/btr/s" --rw "$BTR/rw")
box id id.yaml --ro "$B" --ro "$T/ovl/m" "${BTR_SEEN[@]}" --ro "$W/nest1/a/tools" --ro "$W/nest2/a/tools" --ro "$W/nest3/a/tools"
sed "s/: sandbox\>/: $HU/g" "$T/id.yaml" >"$T/home.yaml"
box home home.yaml --ro "$H/.local/share/tool" --rw "$H/src/work" --ro "$H/src/work/tools"
next() { IDN=$((IDN + 1)) D=${ADDR[IDN]}; }
SELF="$B/allowed probe tcp $OPEN 4000"
# no NAME TEXT: TEXT, which reaches $D, is not what the policy names.
no() { try "$1" box=id layer=identity attempt="$2" harm="arrived tcp $D 4000" control="$SELF" log="action=deny dst_host=$D dst_port=4000 "; }
# fails NAME TEXT: the same, where TEXT is stopped before it gets to connect.
fails() { try "$1" box=id layer="$3" attempt="$2" harm="arrived tcp $D 4000" control="$SELF"; }
yes_() { try "$1" box=id layer=identity expect=allow attempt="$2" harm="arrived tcp $D 4000" control="$SELF"; }

next; no "another file" "$W/copy probe tcp $D 4000"
next; no "copy of the allowed file" "cp $B/allowed $TMPD/c1 && $TMPD/c1 probe tcp $D 4000"
next; no "copy with its name in another directory" "mkdir -p $TMPD/bin && cp $B/allowed $TMPD/bin/allowed && cd $TMPD/bin && ./allowed probe tcp $D 4000"
next; no "renamed over another copy" "cp $B/allowed $TMPD/c2 && cp $W/copy $TMPD/c3 && mv $TMPD/c2 $TMPD/c3 && $TMPD/c3 probe tcp $D 4000"
next; no "hard link of a copy" "cp $B/allowed $TMPD/c4 && ln $TMPD/c4 $TMPD/c5 && $TMPD/c5 probe tcp $D 4000"
next; fails "hard link of the allowed file" "ln $B/allowed $TMPD/c6 && $TMPD/c6 probe tcp $D 4000" mounts
next; yes_ "symbolic link to it: the file is the same" "ln -s $B/allowed $TMPD/l1 && $TMPD/l1 probe tcp $D 4000"
next; no "symbolic link with its name to another file" "mkdir -p $TMPD/bin2 && ln -s $W/copy $TMPD/bin2/allowed && $TMPD/bin2/allowed probe tcp $D 4000"
next; fails "overwritten in place" "cp $W/copy $B/over-1 && $B/over-1 probe tcp $D 4000" mounts
next; fails "replaced by rename" "cp $W/copy $B/.x && mv $B/.x $B/over-2 && $B/over-2 probe tcp $D 4000" mounts
next; fails "removed and made again" "rm -f $B/over-3 && cp $W/copy $B/over-3 && $B/over-3 probe tcp $D 4000" mounts
next; fails "bind mount over it" "unshare -Ur --mount sh -c 'mount --bind $W/copy $B/allowed && $B/allowed probe tcp $D 4000'" "seccomp mounts"
next; no "deleted after exec" "cp $W/copy $TMPD/c7 && $TMPD/c7 unlinked $D"
next; no "memfd with its name" "$W/copy memfd $W/copy $B/allowed $D"
next; no "execveat(AT_EMPTY_PATH) of a file without a name" "cp $W/copy $TMPD/c8 && $W/copy execfd $TMPD/c8 $D unlink"
next; yes_ "execveat(AT_EMPTY_PATH) of the file itself" "$W/copy execfd $B/allowed $D"
next; no "execveat relative to a directory" "mkdir -p $TMPD/bin3 && cp $W/copy $TMPD/bin3/allowed && $W/copy execat $TMPD/bin3 allowed $D"
next; no "/proc/self/exe under its name" "$W/copy again $B/allowed $D"
next; no "/proc/self/root/... of another file" "/proc/self/root$W/copy probe tcp $D 4000"
next; yes_ "/proc/self/root/... of the file itself" "/proc/self/root$B/allowed probe tcp $D 4000"
next; yes_ "through .." "cd $B && ../bin/allowed probe tcp $D 4000"
next; no "exec -a with its name" "exec -a $B/allowed $W/copy probe tcp $D 4000"
next; no "PR_SET_NAME" "$W/copy comm allowed $D"
next; no "PR_SET_MM_EXE_FILE" "$W/copy exefile $B/allowed $D"
next; no "a thread connects" "$W/copy thread $D"
next; yes_ "a thread of the allowed file" "$B/allowed thread $D"
next; no "a thread that is not the first executes it" "$B/alone-1 threadexec $W/copy $D"
next; no "a vfork child connects" "$W/copy vforked $D"
next; yes_ "a vfork child of the allowed file" "$B/allowed vforked $D"
next; yes_ "what the allowed file starts" "$B/allowed spawn $W/copy $D"
next; yes_ "its orphan, after a double fork" "$B/allowed orphan $W/copy $D"
next; no "ancestors: false: what it starts" "$B/alone-2 spawn $W/copy $D"
next; no "ancestors: false: its orphan" "$B/alone-3 orphan $W/copy $D"
next; yes_ "a script" "$B/script $D"
next; no "a script with another interpreter" "bash $B/script $D"
next; no "a script by /dev/fd" "exec 7<$B/script; bash /dev/fd/7 $D"
next; no "a script by descriptor" "$W/copy execscript $B/script $D"
next; no "a copy of the script" "cp $B/script $TMPD/script && $TMPD/script $D"
next; no "a script named relatively" "cd $B && ./script $D"
next; no "a script named through .." "$B/../bin/script $D"
next; no "a script through a symbolic link" "ln -s $B/script $TMPD/slink && $TMPD/slink $D"
next; yes_ "a script with #!/usr/bin/env" "$B/envscript $D"
next; no "its interpreter on another script with #!/usr/bin/env" "cp $B/envscript $TMPD/envscript && $TMPD/envscript $D"
# moved NAME DIR PATH FILE BOX ARGUMENTS: DIR is moved away, and FILE takes the place of PATH, below it.
moved() {
	local dir=$2 path=$3 file=$4 box=$5 run=$6
	fails "$1" "mv $dir $dir.moved && mkdir -p ${path%/*} && cp $file $path && $path $run" mounts
	C_BOX[N-1]=$box C_TRIED[N-1]="said 'resource busy'" C_CONTROL[N-1]="mkdir $dir/own && mv $dir/own $dir/own2 && rmdir $dir/own2 && $path $(sed "s/$D/$OPEN/" <<<"$run")"
}
next; moved "read-only in the workdir: a parent renamed" "$W/nest1" "$W/nest1/a/tools/allowed" "$A" id "probe tcp $D 4000"
next; moved "read-only in the workdir: the one above it renamed" "$W/nest2/a" "$W/nest2/a/tools/allowed" "$A" id "probe tcp $D 4000"
next; moved "read-only in the workdir: a script's parent renamed" "$W/nest3" "$W/nest3/a/tools/script" "$B/script" id "$D"
next; moved "read-only in a private home: a parent renamed" "$H/.local" "$H/.local/share/tool/allowed" "$A" home "probe tcp $D 4000"
next; moved "read-only in a workdir in a private home: its parent renamed" "$H/src" "$H/src/work/tools/allowed" "$A" home "probe tcp $D 4000"
if [ $OVERLAY = 1 ]; then
	next; yes_ "overlayfs: a file of the lower layer" "$T/ovl/m/tool probe tcp $D 4000"
	next; yes_ "overlayfs: a file of the upper layer" "$T/ovl/m/upper probe tcp $D 4000"
	next; no "overlayfs: a copy of it" "cp $T/ovl/m/tool $TMPD/tool && $TMPD/tool probe tcp $D 4000"
fi
if [ $BTRFS = 1 ]; then
	next; yes_ "btrfs: a file of the root" "$BTR/root probe tcp $D 4000"
	next; yes_ "btrfs: a file of a subvolume" "$BTR/sub/tool probe tcp $D 4000"
	next; yes_ "btrfs: a file of a subvolume mounted elsewhere" "$T/btr/s/tool probe tcp $D 4000"
	next; no "btrfs: a copy of it" "cp $BTR/sub/tool $TMPD/subtool && $TMPD/subtool probe tcp $D 4000"
	next; no "btrfs: a clone of it" "cp --reflink=always $BTR/sub/tool $BTR/rw/clone && $BTR/rw/clone probe tcp $D 4000"
	next; no "btrfs: a snapshot of its subvolume" "btrfs -q subvolume snapshot $BTR/sub $BTR/rw/snap && $BTR/rw/snap/tool probe tcp $D 4000"
	next; no "btrfs: a subvolume with its name" "mkdir -p $BTR/rw/s && btrfs -q subvolume create $BTR/rw/s/sub && cp $BTR/root $BTR/rw/s/sub/tool && $BTR/rw/s/sub/tool probe tcp $D 4000"
	next; fails "btrfs: a hard link of it" "ln $BTR/sub/tool $BTR/sub/linked && $BTR/sub/linked probe tcp $D 4000" mounts
	next; fails "btrfs: overwritten in place" "cp $W/copy $BTR/sub/over && $BTR/sub/over probe tcp $D 4000" mounts
fi
