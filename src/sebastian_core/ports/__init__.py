"""What Sebastian needs from the world: one role a file, its docstring the specification."""
