# Whether node_exporter listens on port $1 (0), is there and does not (4), or is not there (3).
hex=$(printf '%04X' "$1")
if cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qi ":$hex [0-9A-F]*:0000 0A"; then exit 0; fi
for name in prometheus-node-exporter node_exporter node-exporter; do
    if command -v "$name" >/dev/null 2>&1; then exit 4; fi
done
exit 3
