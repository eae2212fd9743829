"""A small city on this machine: servers, services and a simulation, brought to life, watched, and ended again."""
