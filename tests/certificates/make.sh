#!/bin/sh
# Makes the certificates of the tests anew: valid until 2126, known to nobody but these tests.
set -eu
cd "$(dirname "$0")"
new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }
signed() { # name, subject, alternative names
    new_key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
    printf 'subjectAltName=%s\n' "$3" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA authority.pem -CAkey authority.key -set_serial "$4" -days 36500 -extfile "$1.ext" -out "$1.pem"
    rm "$1.csr" "$1.ext"
}
new_key authority
openssl req -x509 -new -key authority.key -days 36500 -subj "/CN=costmeter test authority" -out authority.pem
signed server "first server" "DNS:localhost,IP:127.0.0.1" 1
signed renewed "second server" "DNS:localhost,IP:127.0.0.1" 2
signed client "a client" "DNS:prometheus.example,URI:spiffe://cluster/prometheus,email:ops@example.com" 3
new_key stranger
openssl req -x509 -new -key stranger.key -days 36500 -subj "/CN=stranger" -addext "subjectAltName=DNS:prometheus.example" -out stranger.pem
openssl pkey -in server.key -aes256 -passout pass:secret -out encrypted.key
rm authority.key
