"""The benchmarks: `make bench` measures them on this machine and writes RESULTS.md beside this file.

    training.py   our train step against TRL's defaults and against the machine's matmul rate
    near_duplicates.py  finding near-duplicates beside the peers, against brute force, as rows grow, and on hostile rows
    quality.py    `make bench-quality`: what curation finds of planted defects, and in real data sets; writes QUALITY.md
    demo.py       the whole demo: time outside training and answering, peak memory, the second run

They are not tests: they take about half an hour, and want a machine that does nothing else.
"""
