"""Who is measured: a file for each client of each broker, and one for busbridge.

Each offers the same functions, one for each kind of work: `publish_many`, `publish`, `consume`, `publish_paced`. Each
gets a `Job` and does exactly what the README calls the same work.
"""
