"""What drives the shop and checks its books: where orders come from, a run, the audit, the screen."""
