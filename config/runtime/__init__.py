"""How the desk is run: embedded services and the supervisor. Standard library only, no Django."""
