# The same as woodwork_leak.py, with the release that refers weakly: nothing stays.
import os
import runpy

runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "woodwork_leak.py"), run_name="__main__")
