"""What runs jobs: it holds rows in plain while it computes, and nowhere else."""
