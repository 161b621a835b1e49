"""Live orders: reserved where a simulated trade would be booked, driven by the orders process, booked by the chain.

`reserving` puts funds aside, `gate_again` asks before money moves, `settling` books what became of it.
"""
