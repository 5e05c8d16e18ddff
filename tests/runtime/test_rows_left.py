"""New objects that handlers have left are inserted as their mapping wants it: in one statement, or by a flush."""

from __future__ import annotations

import pytest
from sqlalchemy import ForeignKey, create_engine, event, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from busbridge.runtime.effects._rows_left import insert_rows


class Base(DeclarativeBase): ...


class Plain(Base):
    __tablename__ = "plain"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str | None] = mapped_column("words")
    size: Mapped[int] = mapped_column(default=7)
    kind: Mapped[str] = mapped_column(server_default="common")


class Other(Base):
    __tablename__ = "other"
    id: Mapped[int] = mapped_column(primary_key=True)
    plain_id: Mapped[int] = mapped_column(ForeignKey("plain.id"))


class Parent(Base):
    __tablename__ = "parents"
    id: Mapped[int] = mapped_column(primary_key=True)
    children: Mapped[list[Child]] = relationship()


class Child(Base):
    __tablename__ = "children"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"))


class Versioned(Base):
    __tablename__ = "versioned"
    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - as SQLAlchemy has it


class Animal(Base):
    __tablename__ = "animals"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Dog(Animal):
    __tablename__ = "dogs"
    id: Mapped[int] = mapped_column(ForeignKey("animals.id"), primary_key=True)
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


@pytest.fixture
def connection():
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        yield connection


@pytest.fixture
def flushes(connection):
    """How often a session was flushed: SQLAlchemy makes a plan for each."""
    found = []
    original = Session.flush

    def flush(self, *arguments):
        found.append(self)
        return original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "flush", flush)
        yield found


@pytest.fixture
def statements(connection):
    found = []

    def told(_connection, _cursor, sql, parameters, _context, executemany):
        if sql.startswith("INSERT"):
            found.append((sql.split()[2], len(parameters) if executemany else 1))

    event.listen(connection, "before_cursor_execute", told)
    return found


def test_plain_objects_are_one_statement_without_a_flush(connection, statements, flushes):
    insert_rows(connection, [Plain(text="a"), Plain(text="b", size=3), Plain(text="c", kind="rare")])
    assert not flushes
    assert sum(count for _, count in statements) == 3
    found = connection.execute(select(Plain.__table__.c["words", "size", "kind"])).all()
    assert found == [("a", 7, "common"), ("b", 3, "common"), ("c", 7, "rare")]


def test_mappings_go_in_one_after_another_in_the_order_in_which_they_came(connection, statements, flushes):
    insert_rows(connection, [Plain(id=1), Other(plain_id=1), Plain(id=2), Other(plain_id=2)])
    assert not flushes
    assert statements == [("plain", 2), ("other", 2)]


def test_what_is_refused_is_the_databases_error(connection):
    with pytest.raises(IntegrityError):
        insert_rows(connection, [Plain(id=1), Plain(id=1)])


@pytest.mark.parametrize(
    ("left", "table", "rows"),
    [
        (lambda: [Parent(id=1, children=[child := Child(id=2)]), child], Child, [(2, 1)]),
        (lambda: [Versioned(id=1), Versioned(id=2)], Versioned, [(1, 1), (2, 1)]),
        (lambda: [Dog(id=1, name="Rex")], Animal, [(1, "dog")]),
        (lambda: [Plain(id=func.abs(-5), text="a")], Plain, [(5, "a", 7, "common")]),
    ],
    ids=["relationship", "version", "inheritance", "expression"],
)
def test_what_a_flush_looks_after_is_left_to_one(connection, flushes, left, table, rows):
    insert_rows(connection, left())
    assert len(flushes) == 1
    assert connection.execute(select(table.__table__)).all() == rows


@pytest.mark.parametrize("name", ["before_insert", "after_insert"])
def test_who_listens_to_a_mapping_is_told_of_each_row(connection, name):
    told = []

    def listener(_mapper, _connection, row):
        told.append(row.text)

    event.listen(Plain, name, listener)
    try:
        insert_rows(connection, [Plain(text="a"), Plain(text="b")])
    finally:
        event.remove(Plain, name, listener)
    assert told == ["a", "b"]


@pytest.mark.parametrize("name", ["before_flush", "after_flush", "after_flush_postexec", "pending_to_persistent"])
def test_who_listens_to_sessions_is_told(connection, name):
    told = []

    def listener(*_):
        told.append(name)

    event.listen(Session, name, listener)
    try:
        insert_rows(connection, [Plain(text="a")])
    finally:
        event.remove(Session, name, listener)
    assert told == [name]


def test_an_object_that_two_handlers_have_added_is_one_row(connection):
    row = Plain(text="a")
    insert_rows(connection, [row, row])
    assert connection.execute(select(func.count()).select_from(Plain)).scalar_one() == 1
