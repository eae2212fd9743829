"""`onecard doctor`: looks at a running installation and says in plain words what is wrong, and what to do."""
