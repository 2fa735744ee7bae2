"""Long proofs that anyone can run again; the tests run smaller versions of them."""
