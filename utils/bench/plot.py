#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""plot.py FOLDER RESULTS...: draws the results files of the benchmarks (results.h has the format) as SVG
files in FOLDER, by gnuplot. A plot whose figures are in none of the files is left as it is."""
import collections
import os
import subprocess
import sys

BLUES = ["#c6dbef", "#9ecae1", "#4292c6", "#08519c"]  # little to much of the same: pipelines, connections
OURS, PEERS = "#2171b5", {"redis": "#cb4b4b", "rocksdb": "#e08214", "leveldb": "#7a8b53"}
GREY = "#969696"


class Results:
    """Medians of all files: {(suite, case, subject, measure): value}, in their order; and curves, whose
    points are "round 1", "round 2" or "second 1" ... : the same to a list of values."""

    def __init__(self, paths):
        self.medians, self.curves = {}, collections.defaultdict(list)
        for path in paths:
            with open(path) as file:
                for line in file:
                    fields = line.rstrip("\n").split("\t")
                    if line.startswith("#") or len(fields) != 6:
                        continue
                    if fields[4] == "median":
                        self.medians[tuple(fields[:4])] = float(fields[5])
                    elif fields[4].startswith(("round ", "second ")):
                        self.curves[tuple(fields[:4])].append(float(fields[5]))

    def get(self, *key):
        return self.medians.get(key)

    def curve(self, *key):
        return self.curves.get(key, [])

    def cases(self, suite, measure):
        """Names of the suite's cases that have the measure."""
        return list(dict.fromkeys(key[1] for key in self.medians if key[0] == suite and key[3] == measure))


def quoted(text):
    return '"' + text.replace('"', "'").replace("_", " ") + '"'


def data_block(name, rows):
    lines = [" ".join("NaN" if cell is None else quoted(cell) if isinstance(cell, str) else f"{cell:.6g}"
                      for cell in row) for row in rows]
    return f"${name} << EOD\n" + "\n".join(lines) + "\nEOD\n"


def gnuplot(folder, name, width, height, script):
    path = os.path.join(folder, name + ".svg")
    header = f"""
set terminal svg size {width},{height} font "sans-serif,13" background "#ffffff" noenhanced
set output "{path}"
set border 3 linecolor "#606060"
set tics nomirror out textcolor "#303030"
set grid ytics linecolor "#e0e0e0" linewidth 1
set style fill solid 1 noborder
set key bmargin center horizontal textcolor "#303030" samplen 1.5 width 2
set title font ",15" textcolor "#202020"
"""
    subprocess.run(["gnuplot"], input=header + script, text=True, check=True)
    size = os.path.getsize(path)
    print(f"{path}  {size} bytes")
    if size > 60000:
        sys.exit(f"{path} is larger than 60000 bytes")


def clusters(rows, labels, colors):
    """Commands that plot $data as clustered bars: column 1 the name, then one bar a column."""
    bars = len(labels)
    width = 0.8 / bars
    parts = [f"$data using ($0{(i - (bars - 1) / 2) * width:+.4f}):{i + 2}:({width * 0.92:.4f}) "
             f"with boxes linecolor '{colors[i]}' title {quoted(labels[i])}" for i in range(bars)]
    return (f"set xrange [-0.6:{len(rows) - 0.4}]\n"
            "plot $data using 0:(NaN):xticlabels(1) notitle, " + ", ".join(parts))


def ratio_bars(rows, labels, colors):
    """The same for ratios: bars that begin at 1, up when better, down when worse."""
    bars = len(labels)
    width = 0.8 / bars
    parts = []
    for i in range(bars):
        left = (i - bars / 2) * width
        parts.append(f"$data using ($0{left + width / 2:+.4f}):(1):($0{left + width * 0.04:+.4f}):"
                     f"($0{left + width * 0.96:+.4f}):(1):{i + 2} with boxxyerror linecolor '{colors[i]}' "
                     f"title {quoted(labels[i])}")
    return (f"set xrange [-0.6:{len(rows) - 0.4}]\n"
            "plot $data using 0:(NaN):xticlabels(1) notitle, " + ", ".join(parts))


def plot_ratios(folder, name, title, peer, rows, labels, colors, unit="requests a second"):
    """Bars of ratios to a peer, whose 1 is a line; twice as good and half as good look alike."""
    rows = [row for row in rows if any(value is not None for value in row[1:])]
    if not rows:
        return
    values = [value for row in rows for value in row[1:] if value]
    many = len(rows) > 8
    ticks = ", ".join(f'"{tick:g}" {tick}' for tick in
                      (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32))
    script = data_block("data", rows) + f"""
set title {quoted(title)}
set ylabel {quoted(f"{unit} / {peer}'s")} textcolor "#303030"
set logscale y 2
set yrange [{min(0.45, min(values) / 1.1):.3f}:{max(2.2, max(values) * 1.1):.3f}]
set ytics ({ticks})
set rmargin {len(peer) + 3}
set bmargin {6 if many else 4.5}
set xtics rotate by {30 if many else 0} {"right" if many else ""} scale 0
set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead front linewidth 2 linecolor "{PEERS[peer]}"
set label 1 "{peer}" at graph 1, first 1 left offset 0.6,0 front textcolor "{PEERS[peer]}"
""" + ratio_bars(rows, labels, colors)
    gnuplot(folder, name, 900, 410, script)


def plot_throughput(results, folder):
    pipelines = ["1", "16", "64"]
    for policy, writes_only in (("everysec", False), ("always", True)):
        commands = list(dict.fromkeys(case.split("/")[0] for case in results.cases("throughput", "ratio:ops_per_s")
                                      if case.split("/")[1] == policy))
        rows = [[command] + [results.get("throughput", f"{command}/{policy}/{pipeline}", "cordwood", "ratio:ops_per_s")
                             for pipeline in pipelines] for command in commands]
        what = "writes" if writes_only else "commands"
        plot_ratios(folder, f"throughput-{policy}",
                    f"Throughput of {what} beside redis-server, appendfsync {policy} (higher is better)", "redis", rows,
                    ["unpipelined", "16 in a pipeline", "64 in a pipeline"], BLUES[1:])


def plot_ycsb(results, folder):
    series = [("everysec", "16"), ("everysec", "50"), ("always", "16"), ("always", "50")]
    names = {"A": "half updates", "B": "5% updates", "C": "reads", "D": "reads of the latest", "E": "scans",
             "F": "read, then write"}
    rows = [[f"{letter}: {names[letter]}"] +
            [results.get("ycsb", f"{letter}/{policy}/{connections}", "cordwood", "ratio:ops_per_s")
             for policy, connections in series] for letter in names]
    plot_ratios(folder, "ycsb-server", "YCSB beside redis-server, records of 1000 bytes, unpipelined (higher is better)",
                "redis", rows, [f"{policy}, {connections} clients" for policy, connections in series], BLUES,
                "operations a second")


def plot_latency(results, folder):
    commands = ["GET", "SET", "XADD", "XRANGE_100"]
    measures = [("50", "p50_us"), ("95", "p95_us"), ("99", "p99_us"), ("99.9", "p999_us")]
    rows = {command: [[name] + [results.get("throughput", f"{command}/everysec/1", subject, measure)
                                for subject in ("cordwood", "redis")] for name, measure in measures]
            for command in commands}
    values = [value for command in commands for row in rows[command] for value in row[1:] if value]
    if not values:
        return
    ticks = ", ".join(str(digit * 10 ** power) for power in range(6) for digit in (1, 2, 5))
    script = f"""
set multiplot layout 1,4 title "Latency, unpipelined, 50 clients at full load, appendfsync everysec (lower is better)" font ",15"
set logscale y
set yrange [{min(values) * 0.7:.3g}:{max(values) * 6:.3g}]
set ytics ({ticks})
set xtics scale 0
set xlabel "percentile" textcolor "#303030"
set bmargin 4.5
set lmargin 11
set rmargin 1
unset key
"""
    for i, command in enumerate(commands):
        script += data_block("data", rows[command]) + f"set title {quoted(command)} font ',13'\n"
        script += "set ylabel 'microseconds' textcolor '#303030'\n" if i == 0 else "unset ylabel\n"
        if i == len(commands) - 1:
            script += "set key inside top left vertical width 0\n"
        script += clusters(rows[command], ["cordwood", "redis"], [OURS, PEERS["redis"]]) + "\n"
    gnuplot(folder, "latency", 900, 380, script + "unset multiplot\n")


def plot_disk(results, folder):
    bars = [("raw text", "log entries, raw text", "raw", GREY),
            ("redis\\nAOF as it grows", "log entries, settled", "redis", PEERS["redis"]),
            ("redis\\nAOF rewritten", "log entries, compacted", "redis", PEERS["redis"]),
            ("cordwood\\ntables", "log entries, compacted, tables", "cordwood", OURS)]
    rows = [[label, results.get("storage", case, subject, "bytes_per_entry"), int(color[1:], 16)]
            for label, case, subject, color in bars]
    if any(row[1] is None for row in rows):
        return
    script = data_block("data", rows) + f"""
set title "Bytes on the disk for a log entry (lower is better)"
set ylabel "bytes an entry" textcolor "#303030"
set yrange [0:{max(row[1] for row in rows) * 1.12:.0f}]
set xrange [-0.6:{len(rows) - 0.4}]
set xtics scale 0
set bmargin 3.5
set boxwidth 0.55
unset key
plot $data using 0:2:3:xticlabels(1) with boxes linecolor rgb variable, \\
     $data using 0:2:(sprintf("%.0f", $2)) with labels offset 0,0.7
"""
    gnuplot(folder, "disk", 620, 360, script)


ENGINES = ["cordwood", "leveldb"]  # RocksDB is the 1


def engine_row(results, name, suite, case):
    peer = results.get(suite, case, "rocksdb", "ops_per_s")
    values = [results.get(suite, case, engine, "ops_per_s") for engine in ENGINES]
    return [name] + [value / peer if value and peer else None for value in values]


def plot_engine(results, folder):
    cases = [("order", "fillseq"), ("random", "fillrandom"), ("random", "overwrite"), ("random", "fillsync1"),
             ("random", "fillsync16"), ("random", "deleterandom"), ("order", "readseq"), ("order", "readreverse"),
             ("random", "readrandom"), ("random", "readmissing"), ("random", "readhot"), ("random", "seekrandom"),
             ("random", "readwhilewriting"), ("logs", "append"), ("logs", "page"), ("logs", "newestpage")]
    plot_ratios(folder, "engine", "The engine as a library beside RocksDB and LevelDB, the same options (higher is better)",
                "rocksdb", [engine_row(results, case, suite, case) for suite, case in cases], ENGINES,
                [OURS, PEERS["leveldb"]], "operations a second")
    plot_ratios(folder, "ycsb-engine", "YCSB on the engine as a library, 4 threads, records of 1000 bytes (higher is better)",
                "rocksdb", [engine_row(results, name, "ycsb/4", f"{name}/4") for name in ["load", *"ABCDEF"]], ENGINES,
                [OURS, PEERS["leveldb"]], "operations a second")


def plot_engine_disk(results, folder):
    bars = [("bytes written a byte,\\nin order", "order", "fillseq", "write_amplification"),
            ("bytes written a byte,\\noverwritten", "random", "overwrite", "write_amplification"),
            ("bytes kept a byte,\\noverwritten", "random", "overwrite", "space_amplification"),
            ("bytes kept a byte,\\ndeleted", "random", "deleterandom", "space_amplification")]
    engines = ["cordwood", "rocksdb", "leveldb"]
    rows = [[label] + [results.get(suite, case, engine, measure) for engine in engines]
            for label, suite, case, measure in bars]
    if any(value is None for row in rows for value in row):
        return
    script = data_block("data", rows) + """
set title "Write and space amplification of the engine (lower is better)"
set ylabel "times" textcolor "#303030"
set yrange [0:*]
set bmargin 5
set xtics scale 0
""" + clusters(rows, engines, [OURS, PEERS["rocksdb"], PEERS["leveldb"]])
    gnuplot(folder, "engine-disk", 760, 390, script)


def plot_curves(folder, name, title, xlabel, ylabel, curves):
    """Lines of ours and redis' values; nothing without both."""
    subjects = ["cordwood", "redis"]
    if not all(curves[subject] for subject in subjects):
        return
    colors = {"cordwood": OURS, "redis": PEERS["redis"]}
    script = "".join(data_block(subject, [[i + 1, value] for i, value in enumerate(curves[subject])])
                     for subject in subjects)
    script += f"""
set title {quoted(title)}
set xlabel {quoted(xlabel)} textcolor "#303030"
set ylabel {quoted(ylabel)} textcolor "#303030"
set yrange [0:*]
set bmargin 5.5
plot """ + ", ".join(f"${subject} using 1:2 with linespoints pointtype 7 pointsize 0.5 linewidth 2 "
                     f"linecolor '{colors[subject]}' title '{subject}'" for subject in subjects) + "\n"
    gnuplot(folder, name, 760, 360, script)


def plot_churn(results, folder):
    plot_curves(folder, "churn", "Disk while the same keys are overwritten, round after round", "round",
                "MiB (tables, AOF)",
                {subject: results.curve("churn", "overwrites", subject, "disk_mib") for subject in ("cordwood", "redis")})


def plot_sustained(results, folder):
    plot_curves(folder, "sustained", "SET of 1 KiB, random keys, more than is sustained: rate of each second",
                "second", "thousand commands",
                {subject: [value / 1e3 for value in results.curve("sustained", "overwrites", subject, "ops_in_second")]
                 for subject in ("cordwood", "redis")})


def main():
    folder, paths = sys.argv[1], [path for path in sys.argv[2:] if os.path.exists(path)]
    if not paths:
        sys.exit("plot.py: there are no results; run make bench first")
    results = Results(paths)
    for draw in (plot_throughput, plot_latency, plot_disk, plot_ycsb, plot_churn, plot_sustained, plot_engine, plot_engine_disk):
        draw(results, folder)


main()
