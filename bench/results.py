#!/usr/bin/env python3
"""Tables of a results page from folders that hold a report.json: results.py [--page FILE] RUN...

With --page, what stands between the two markers below is replaced; without, the tables are printed.
"""
import argparse
import json
import os
import statistics
import sys

BEGIN = "<!-- begin of the tables that bench/results.sh makes -->"
END = "<!-- end of the tables that bench/results.sh makes -->"


def signed(value):
    text = f"{abs(value):.2f}"
    return text if float(text) == 0 else ("−" if value < 0 else "+") + text


def number(value, digits=2):
    if value is None:
        return "–"
    return f"{value:.{digits}f}"


def interval(pair, form):
    return "–" if pair is None else f"{form(pair[0])} … {form(pair[1])}"


def markdown(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def accuracy_table(report):
    metric = "miou" if "miou" in report["rows"][0] else "top1"
    header = ["method", "mIoU" if metric == "miou" else "top-1", "95 %", "Δ", "95 % of Δ", "agree"]
    if metric == "top1":
        header += ["SQNR dB", "ties"]
    rows = []
    for row in report["rows"]:
        cells = [
            row["method"],
            number(row[metric]),
            interval(row["interval"], number),
            "–" if row["delta"] is None else signed(row["delta"]),
            interval(row["delta_interval"], signed),
            number(row["agreement"]),
        ]
        if metric == "top1":
            cells += [number(row["sqnr_db"], 1), str(row["ties"])]
        rows.append(cells)
    return markdown(header, rows)


def spread_table(report):
    metric = "miou" if "miou" in report["rows"][0] else "top1"
    keys = [metric, "agreement", "sqnr_db"]
    rows = []
    for row in report["rows"]:
        sets = row.get("calibration_sets", [])
        if len(sets) < 2:
            continue
        cells = [row["method"], str(len(sets))]
        for key in keys:
            values = [found[key] for found in sets]
            cells.append(f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}")
            if key == metric:
                cells.append(f"{min(values):.2f} … {max(values):.2f}")
        rows.append(cells)
    name = "mIoU" if metric == "miou" else "top-1"
    return markdown(["method", "sets", name, "from … to", "agree", "SQNR dB"], rows) if rows else []


def section(folder):
    with open(os.path.join(folder, "report.json"), encoding="utf-8") as file:
        report = json.load(file)
    first = report["rows"][0]
    lines = [f"### {os.path.basename(os.path.normpath(folder))}", ""]
    lines += accuracy_table(report) + [""]
    spread = spread_table(report)
    if spread:
        lines += ["Over sets of calibration images (mean ± standard deviation):", ""] + spread + [""]
    lines += [f"n = {first['n']}, revision {report['hashes']['revision']}."]
    # The verdicts are the report's own words; its lines become a list.
    if report.get("triage"):
        lines += [""] + ["- " + line for line in report["triage"].splitlines() if line.strip()]
    return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", help="file whose part between the markers is replaced")
    parser.add_argument("runs", nargs="+", help="folders with a report.json")
    arguments = parser.parse_args()
    tables = "\n".join(line for run in arguments.runs for line in section(run)).rstrip() + "\n"
    if arguments.page is None:
        print(tables, end="")
        return 0
    with open(arguments.page, encoding="utf-8") as file:
        page = file.read()
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        print(f"{arguments.page}: wanted are two lines, one after the other:\n{BEGIN}\n{END}", file=sys.stderr)
        return 3
    before, after = page[: page.index(BEGIN) + len(BEGIN)], page[page.index(END) :]
    with open(arguments.page + ".part", "w", encoding="utf-8") as file:
        file.write(before + "\n\n" + tables + "\n" + after)
    os.replace(arguments.page + ".part", arguments.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
