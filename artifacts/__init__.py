"""The programs that a deployment ships to AWS, each as one file with the same bytes on every machine."""
