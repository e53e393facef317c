"""The one database of the stand-in: where it is, and one statement at a time."""

import os

import psycopg
from psycopg.rows import dict_row

DATABASE = os.environ["DATABASE_URL"]


async def connect():
    """A connection of one's own, as LISTEN needs it; each statement is its own transaction."""
    return await psycopg.AsyncConnection.connect(DATABASE, autocommit=True, row_factory=dict_row)


async def sql(text, *values):
    """One statement; its rows."""
    async with await connect() as connection:
        cursor = await connection.execute(text, values)
        return await cursor.fetchall() if cursor.description else []
