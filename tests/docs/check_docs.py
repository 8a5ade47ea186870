#!/usr/bin/env python3
"""Checks the documents: README has at most 150 lines, links inside the repository resolve, and references in the code lead to headings.

Usage: check_docs.py ROOT
"""
import pathlib
import re
import sys

README_LINES = 150
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
REFERENCE = re.compile(r"\[docs/([\w]+\.md)((?: ?,? ?(?:[A-C]|\d+(?:\.\d+)?)(?=[\],]))+)\]")
ANY_REFERENCE = re.compile(r"\[docs/[^\]\n]*\](?!\()")
SOURCES = {".cpp", ".hpp", ".py", ".sh", ".cfg", ".md"}


def pages_of(root):
    return [p for p in [*root.glob("*.md"), *root.glob("docs/**/*.md")]]


def slug(heading):
    """The anchor that GitHub gives to a heading."""
    text = re.sub(r"[`*\[\]]", "", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-")


def headings(text):
    return [m.group(1).strip() for m in re.finditer(r"^#+ (.*)$", FENCE.sub("", text), re.M)]


def check_links(root, faults):
    for page in pages_of(root):
        text = FENCE.sub("", page.read_text())
        for link in LINK.findall(text):
            if re.match(r"\w+://", link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists():
                faults.append(f"{page.relative_to(root)}: the link '{link}' leads nowhere")
            elif anchor and anchor not in {slug(h) for h in headings(target.read_text())}:
                faults.append(f"{page.relative_to(root)}: '{link}': no such heading")


def numbers_of(page):
    found = set()
    for heading in headings(page.read_text()):
        number = re.match(r"([A-C]|\d+(?:\.\d+)?)\.? ", heading)
        if number:
            found.add(number.group(1))
    return found


def check_references(root, faults):
    count = 0
    for source in sorted(root.rglob("*")):
        inside = source.relative_to(root).parts
        if source.suffix not in SOURCES or inside[0].startswith((".", "build", "out")) or inside[:2] == ("tests", "docs"):
            continue
        for number, line in enumerate(source.read_text(errors="replace").splitlines(), 1):
            place = f"{source.relative_to(root)}:{number}"
            if "ti-semantics" in line:
                faults.append(f"{place}: 'ti-semantics' is no page of this repository; docs/ti.md is")
            for text in ANY_REFERENCE.findall(line):
                if "x.y" in text:
                    continue
                count += 1
                match = REFERENCE.fullmatch(text)
                if not match:
                    faults.append(f"{place}: '{text}' is not of the form [docs/PAGE.md 1.1, 2]")
                    continue
                page = root / "docs" / match.group(1)
                known = numbers_of(page) if page.exists() else set()
                for wanted in re.findall(r"[A-C]|\d+(?:\.\d+)?", match.group(2)):
                    if wanted not in known:
                        faults.append(f"{place}: '{text}': docs/{match.group(1)} has no heading {wanted}")
    return count


def check(root):
    faults = []
    lines = len((root / "README.md").read_text().splitlines())
    if lines > README_LINES:
        faults.append(f"README.md has {lines} lines; at most {README_LINES}")
    check_links(root, faults)
    return faults, check_references(root, faults)


def self_test():
    """Every kind of fault must be found."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "docs").mkdir()
        (root / "docs/ti.md").write_text("# T\n## 1. One\n### 1.1 Two\n")
        (root / "a.cpp").write_text("// [docs/ti.md 1.1, 1]\n")
        (root / "README.md").write_text("[x](docs/ti.md#11-two)\n")
        assert check(root) == ([], 1), check(root)
        (root / "a.cpp").write_text("// [docs/ti.md 9.9]\n// [docs/no.md 1]\n// [docs/ti.md one]\n// ti-semantics\n")
        (root / "README.md").write_text("[x](no.md) [y](docs/ti.md#no)\n" * 76 + "\n" * 80)
        faults, _ = check(root)
        assert len(faults) == 1 + 2 * 76 + 4, faults


def main():
    self_test()
    faults, count = check(pathlib.Path(sys.argv[1]).resolve())
    if count < 20:
        faults.append(f"only {count} references were found: is this the repository?")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
