"""`import stores` is light and independent: no torch, no lit_experiments, and file formats only when they are used."""

import subprocess
import sys


def loaded_after(code):
    script = f"{code}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_stores_loads_no_torch_and_no_file_formats():
    loaded = loaded_after("import stores")
    assert "stores" in loaded
    assert not loaded & {"torch", "lit_experiments", "transformers", "lightning", "zarr", "h5py", "pyarrow", "pandas"}


def test_using_a_store_loads_no_torch(tmp_path):
    code = f"""
import stores, numpy as np
schema = stores.Schema((stores.Field("x", ("sample", "d"), (None, 2), "float16", "1", ""),), ())
for backend in ("zarr", "hdf5"):
    path = {str(tmp_path)!r} + "/" + backend
    stores.create_store(path, schema, {{}}, {{}}, backend)
    with stores.PartWriter(path, 0, 1, 1) as writer:
        writer.append(stores.Records([{{"sample_id": "a", "sample_index": 0}}], {{"x": np.ones((1, 2), "f4")}}))
    stores.open_store(path)["x"].read(); stores.verify(path); stores.inspect(path)
"""
    assert not loaded_after(code) & {"torch", "lit_experiments", "transformers", "lightning"}
