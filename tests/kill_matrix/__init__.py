"""The kill matrix: every point of an order's way × every fault × `kill -9` of a process there (`make kill-matrix`).

`cells` draws the combinations, `world` is the desk they meet and `truths` what must hold there after each; `traders`
have the wishes orders come of. What is killed: `orders_process`, which stops itself at a point, `market`, and the rest
of `processes`. `__main__` is the run.
"""
