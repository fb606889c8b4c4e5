# Copies what tagpin runs from a Debian with git, openssh-client and ca-certificates into the directory $1: the programs, the
# libraries that they load, and nothing that could be used to change the image. The whole of these packages is twice the size,
# half of it for perl.
root=$1
programs="
  /usr/bin/git /usr/lib/git-core/git-remote-http
  /usr/bin/ssh /usr/bin/ssh-keygen
  /bin/sh"                      # git runs ssh by a shell; ssh-keygen signs commits
files="
  /etc/ssl/certs/ca-certificates.crt
  /etc/nsswitch.conf /etc/debian_version /usr/lib/os-release"

mkdir -p "$root/usr/bin" "$root/usr/lib/git-core" "$root/usr/lib64" "$root/etc" "$root/var/lib/dpkg/status.d"
for dir in bin lib lib64; do ln -s "usr/$dir" "$root/$dir"; done

# Each program names its libraries by ldd: "name => path (address)", or the loader as "path (address)".
libraries=$(for program in $programs; do ldd "$program"; done | grep -o '/[^ ]*' | sort -u)
for file in $programs $libraries $files; do
  install -D -m "$(stat -L -c %a "$file")" "$file" "$root$file"
done
ln -s git-remote-http "$root/usr/lib/git-core/git-remote-https"
ln -s ../../bin/git "$root/usr/lib/git-core/git"
ln -s ../usr/lib/os-release "$root/etc/os-release"

# Which packages these are of: scanners read status.d, and licences ask for the copyright files.
for file in $programs $libraries $files; do
  real=$(realpath "$file")
  dpkg-query -S "$real" "${real#/usr}" "$file" 2>/dev/null || true
done | grep -v '^diversion' | sed 's/: .*//; s/, /\n/g' | sort -u | while read -r package; do
  name=${package%%:*}
  dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$name"
  install -D -m 644 "/usr/share/doc/$name/copyright" "$root/usr/share/doc/$name/copyright"
done
dpkg-query -s ca-certificates >"$root/var/lib/dpkg/status.d/ca-certificates"

# ssh wants to know who it is.
echo 'root:x:0:0:root:/:/bin/false
argocd:x:999:999:argocd:/tmp:/bin/false' >"$root/etc/passwd"
echo 'root:x:0:
argocd:x:999:' >"$root/etc/group"

mkdir -p "$root/home/argocd/cmp-server/plugins" "$root/home/argocd/cmp-server/config"
mkdir -m 1777 "$root/tmp"
