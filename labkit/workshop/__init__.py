"""The workshop: a class on one host, in which every learner has a place of their own."""
