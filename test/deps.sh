#!/usr/bin/env bash
# Installs the Debian packages whose programs the tests run for real; with the argument e2e those of the control plane as well.
# Does nothing when all are there.
set -euo pipefail
packages=()
command -v git >/dev/null || packages+=(git)
command -v docker-registry >/dev/null || packages+=(docker-registry)
[ -x /usr/sbin/sshd ] || packages+=(openssh-server)
command -v redis-server >/dev/null || packages+=(redis-server)
command -v ssh >/dev/null || packages+=(openssh-client)
# Of Prometheus only its checker: the package would start a server.
if ! command -v promtool >/dev/null && ! [ -x .bin/promtool ] && command -v apt-get >/dev/null; then
  fetched=$(mktemp -d)
  (cd "$fetched" && chmod 755 . && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } >/dev/null)
  dpkg-deb --fsys-tarfile "$fetched"/prometheus_*.deb | tar -x -C "$fetched" ./usr/bin/promtool
  mkdir -p .bin && mv "$fetched/usr/bin/promtool" .bin/
  rm -r "$fetched"
fi
if [ "${1:-}" = e2e ]; then
  command -v etcd >/dev/null || packages+=(etcd-server)
  [ -x /sbin/ip ] || packages+=(iproute2)
  command -v curl >/dev/null || packages+=(curl)
  [ -e /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
fi
[ ${#packages[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null; then
  echo "the tests run these programs: ${packages[*]}; install them and try again" >&2
  exit 1
fi
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
