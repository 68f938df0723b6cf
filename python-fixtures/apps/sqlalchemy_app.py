# An ORM session over sqlite with loaded and pending objects.
#
#   Session -> identity map -> Author -> InstanceState, books: [Book -> Author]
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import _truth  # noqa: E402
from sqlalchemy import ForeignKey, String, create_engine, select  # noqa: E402
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship  # noqa: E402
from typing import List  # noqa: E402


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(30))
    books: Mapped[List["Book"]] = relationship(back_populates="author")


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped["Author"] = relationship(back_populates="books")


engine = create_engine("sqlite://")
Base.metadata.create_all(engine)
with Session(engine) as setup:
    for i in range(50):
        setup.add(Author(name="author %d" % i, books=[Book(title="book %d" % j) for j in range(5)]))
    setup.commit()
session = Session(engine)
authors = session.scalars(select(Author).where(Author.id < 40)).all()
loaded = [book.title for author in authors for book in author.books]
session.add(Author(name="pending"))
rows = session.execute(select(Author.name, Book.title).join(Book)).fetchmany(10)
_truth.hold()
