"""The command line of the sandbox: the real engine and program on the emulated AWS."""
