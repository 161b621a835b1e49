"""Who may call what: the table (`table`), the things it is about (`world`), and the tests that hold routes to it."""
