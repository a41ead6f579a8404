# Installs node_exporter from the distribution's own packages and starts it. May be run any number of times.
set -e
if command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o DPkg::Lock::Timeout=600 update
    apt-get -qq -y -o DPkg::Lock::Timeout=600 install --no-install-recommends prometheus-node-exporter >/dev/null
    unit=prometheus-node-exporter
elif command -v dnf >/dev/null 2>&1; then
    dnf -q -y install node-exporter >/dev/null || dnf -q -y install golang-github-prometheus-node-exporter >/dev/null
    unit=$(systemctl list-unit-files --no-legend '*node*exporter.service' | awk 'NR == 1 { print $1 }')
elif command -v zypper >/dev/null 2>&1; then
    zypper -q -n install golang-github-prometheus-node_exporter >/dev/null
    unit=prometheus-node_exporter
elif command -v apk >/dev/null 2>&1; then
    apk -q add prometheus-node-exporter
    rc-update -q add node-exporter default
    rc-service -q node-exporter start
    exit 0
else
    echo "no package manager that is known: apt, dnf, zypper or apk" >&2
    exit 5
fi
systemctl -q enable --now "$unit"
