/* A program that embeds CPython: it says READY, and waits for the end of its input with the interpreter inside. */
#include <Python.h>

int main(void) {
    Py_Initialize();
    int failed = PyRun_SimpleString(
        "import sys\n"
        "kept = [{'number': n} for n in range(1000)]\n"
        "print('READY', flush=True)\n"
        "sys.stdin.read()\n");
    Py_Finalize();
    return failed != 0;
}
