#!/bin/sh
# Makes the certificates of the tests anew, for 100 years: `sh test/certificates/make.sh`, with OpenSSL 3.
# ca has signed one, two (whose key is encrypted, with "open"), expired and server-only; stranger-ca has
# signed stranger.
set -e
cd "$(dirname "$0")"
rm -f ./*.crt ./*.key
work=$(mktemp -d)
cat > "$work/config" <<END
[ca]
default_ca = all
[all]
database = $work/database
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
END
: > "$work/database"

# name, who signs it, its last year, extensions
make() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1.key"
  openssl req -new -key "$1.key" -subj "/CN=$1" -out "$work/request"
  printf '%s\n' "$4" > "$work/extensions"
  by="-cert $2.crt -keyfile $2.key"
  if [ "$1" = "$2" ]; then by="-selfsign -keyfile $1.key"; fi
  # shellcheck disable=SC2086
  openssl ca -batch -config "$work/config" $by -in "$work/request" -notext -extfile "$work/extensions" \
    -startdate 20200101000000Z -enddate "${3}0101000000Z" -out "$1.crt"
}

authority='basicConstraints=critical,CA:TRUE
subjectKeyIdentifier=hash'
node='extendedKeyUsage=serverAuth,clientAuth'
make ca ca 2120 "$authority"
make stranger-ca stranger-ca 2120 "$authority"
make one ca 2120 "$node"
make two ca 2120 "$node"
make expired ca 2021 "$node"
make server-only ca 2120 'extendedKeyUsage=serverAuth'
make stranger stranger-ca 2120 "$node"
openssl pkey -in two.key -aes256 -passout pass:open -out "$work/two.key"
mv "$work/two.key" two.key
rm -r ca.key stranger-ca.key "$work"
