"""A file system as `docker export` gives it, a line a file: kind, mode, owner, digest or link, path. Times are left out."""

import hashlib
import sys
import tarfile


def main() -> None:
    """From standard input to standard output, by path."""
    lines = []
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as files:
        for file in files:
            held = file.linkname or "-"
            if file.isreg() and (content := files.extractfile(file)):
                held = hashlib.sha256(content.read()).hexdigest()
            lines.append((file.name, f"{file.type.decode()} {file.mode:04o} {file.uid}:{file.gid} {held} {file.name}"))
    for _, line in sorted(lines):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
