"""What Kalla is measured against: plain scripts over the same files, each run as a whole process."""
