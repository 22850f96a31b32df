# shellcheck shell=bash
# Programs that were there before a reload: they gain and lose as new ones would, their parents dead, their files replaced.
# $B/lose-* may reach addresses of their own until the reload, $B/gain-* theirs from then on.
B=$T/reload GO=$W/reload.go JOBS=40
mkdir -p "$B"
ADDR=() LOST=() GAINED=()
HOWS=(plain thread orphan replaced removed replaced-orphan held deferred)
for h in "${HOWS[@]}" start; do
	cp "$A" "$B/lose-$h" && cp "$A" "$B/gain-$h"
	fresh; ADDR+=("$D"); LOST+=("$D")
	fresh; ADDR+=("$D"); GAINED+=("$D")
done
fresh; KEPT=$D
cp "$A" "$B/any" && cp "$A" "$B/any-held"
chmod 755 "$B"/*
reloaded() { # reloaded FILE NAME ADDRESS...
	local f=$1 who=$2; shift 2
	{
		echo 'network_policies:'
		echo '  some:'
		echo '    endpoints:'
		printf '      - {host: "%s", port: 4000}\n' "$@"
		echo "    binaries: [{path: $B/$who-*}]"
		echo '  any:'
		echo '    endpoints:'
		printf '      - {host: "%s", port: 4000}\n' "$OPEN" "$KEPT"
		echo "    binaries: [{path: $B/*}]"
	} | policy "$f"
}
reloaded before.yaml lose "${LOST[@]}"
reloaded after.yaml gain "${GAINED[@]}"
box rel before.yaml --ro "$B"
READY=()
all_ready() { for i in "${READY[@]}"; do grep -qx ready "$W/out/$i" 2>/dev/null || return 1; done; }
change() {
	local h
	for h in replaced replaced-orphan; do
		cp "$A" "$B/.new" && mv "$B/.new" "$B/lose-$h" && cp "$A" "$B/.new" && mv "$B/.new" "$B/gain-$h" || return 1
	done
	rm "$B/lose-removed" "$B/gain-removed" || return 1
	[ "$ENFORCED" = 0 ] || timeout $((20 * SLOW)) "${OSHC[@]}" reload "${PFX}rel" --policy "$T/after.yaml" --wait >"$T/log/reload.out" 2>&1
}
RELOAD=''
turnover() { { until_true 10 all_ready && change && : >"$GO"; } </dev/null >/dev/null 2>&1 & RELOAD=$!; }
over() { [ -z "$RELOAD" ] || wait "$RELOAD" || die "reload: $(cat "$T/log/reload.out" "$W"/out/[0-9]* 2>&1)"; RELOAD=''; }
class_down() { rm -f "$GO"; JOBS=${OSHT_JOBS:-8}; }
CAN="$B/any probe tcp $OPEN 4000"
k=0
for h in "${HOWS[@]}"; do
	how=$h
	case $h in replaced | removed) how=plain ;; replaced-orphan) how=orphan ;; esac
	READY+=("$N")
	if [ "$h" = deferred ]; then
		try "loses: a connection that has sent nothing yet" box=rel layer=ebpf \
			attempt="$B/lose-deferred after deferred $GO ${LOST[k]} exfil-losedeferred-" harm="over; leaked losedeferred" control="$CAN" \
			log="action=revoke dst_host=${LOST[k]} dst_port=4000 binary=$B/lose-deferred "
		continue
	fi
	if [ "$h" = held ]; then
		try "loses: a connection that it holds" box=rel layer=ebpf attempt="$B/lose-held after held $GO ${LOST[k]} exfil-loseheld-" \
			harm="over; leaked loseheld" control="$CAN" log="action=revoke dst_host=${LOST[k]} dst_port=4000 binary=$B/lose-held "
		READY+=("$N")
		try "keeps: a connection that it holds" box=rel layer=ebpf expect=allow attempt="$B/any-held after held $GO $KEPT exfil-keepheld-" \
			harm="over; leaked keepheld" control="$CAN" \
			log="action=allow dst_host=$KEPT dst_port=4000 binary=$B/any-held " none="action=revoke dst_host=$KEPT"
		k=$((k + 1))
		continue
	fi
	try "loses: $h" box=rel layer=ebpf before="$([ $k = 0 ] && echo turnover || echo true)" attempt="$B/lose-$h after $how $GO ${LOST[k]}" \
		harm="over; arrived tcp ${LOST[k]} 4000" control="$CAN" \
		log="action=deny dst_host=${LOST[k]} dst_port=4000 binary=$B/lose-$h deny_reason=\"no matching network policy\""
	READY+=("$N")
	try "gains: $h" box=rel layer=ebpf expect=allow attempt="$B/gain-$h after $how $GO ${GAINED[k]}" \
		harm="over; arrived tcp ${GAINED[k]} 4000" control="$CAN"
	k=$((k + 1))
done
# Those who start then: the same.
WHEN="while [ ! -e $GO ]; do sleep 0.05; done"
k=${#HOWS[@]}
try "loses: one that starts later" box=rel layer=ebpf attempt="$WHEN; $B/lose-start probe tcp ${LOST[k]} 4000" \
	harm="over; arrived tcp ${LOST[k]} 4000" control="$CAN" \
	log="action=deny dst_host=${LOST[k]} dst_port=4000 binary=$B/lose-start deny_reason=\"no matching network policy\""
try "gains: one that starts later" box=rel layer=ebpf expect=allow attempt="$WHEN; $B/gain-start probe tcp ${GAINED[k]} 4000" \
	harm="over; arrived tcp ${GAINED[k]} 4000" control="$CAN"
