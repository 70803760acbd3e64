#!/usr/bin/env bash
# Keeps of each target's corpus the fewest inputs of at most 4 KiB that reach the same code: corpus/TARGET.tar.gz
set -euo pipefail
cd "$(dirname "$0")"
for folder in corpus/*/; do
    target=$(basename "$folder")
    few=$(mktemp -d)
    ./target/x86_64-unknown-linux-gnu/release/"$target" -merge=1 -max_len=4096 "$few" "$folder" 2>"$few.log"
    # The same inputs give the same bytes.
    tar --sort=name --owner=0 --group=0 --mtime=@0 --transform "s,^\.,$target," -C "$few" -cf - . | gzip -n9 >"corpus/$target.tar.gz"
    echo "$target: $(find "$few" -type f | wc -l) inputs"
    rm -r "$few" "$few.log"
done
