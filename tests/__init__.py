"""The tests: real parts where it can be, fakes at the ports only."""
