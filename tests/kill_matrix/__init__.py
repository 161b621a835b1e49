"""The kill matrix: every point of an order's way × every fault × `kill -9` of a process there (`make kill-matrix`).

`cells` draws the combinations, `world` is the desk they meet, `orders_process` an orders process that stops itself at a
point, `__main__` the run.
"""
