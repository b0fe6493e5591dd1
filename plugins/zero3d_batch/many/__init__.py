"""Many runs: what each is to be, the job that makes one, what became of each, and the loop around them."""
