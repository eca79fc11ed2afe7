"""How long `import quantlab` takes, beside NumPy, which it needs.

pytest tests/benchmarks/test_import_time.py -o addopts= -s
"""

import os
import subprocess
import sys

CODE = """
import time
clock = time.process_time
start = clock(); import numpy; middle = clock(); import quantlab
print((clock() - middle) / (middle - start))
"""


def test_importing_quantlab_adds_less_than_half_of_what_numpy_takes(tmp_path):
    # In the same process the ratio holds, where seconds differ from minute to minute.
    # Both are compiled by then: the first of the runs writes the bytecode.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    run = {"capture_output": True, "text": True, "check": True, "env": os.environ | compiled}
    ratios = [float(subprocess.run([sys.executable, "-c", CODE], **run).stdout) for _ in range(5)]
    print(f"of NumPy's time: {min(ratios):.2f}")
    assert min(ratios) < 0.5
