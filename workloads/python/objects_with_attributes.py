"""Reading attributes of objects: each read counts references to the object and to the value.

The worker first reads one attribute of 150,000 accounts, then all of them. The first step breaks
the pages of the accounts and of the balances, 23 MiB a worker on CPython 3.12; the second adds the
pages of numbers and owners, 9 MiB. Before 3.11 every account has a dictionary of its own beside it,
and the first step alone breaks 41 MiB, nearly the whole heap. All of the pages are ghosts.
"""

import forkprint


class Account:
    def __init__(self, number):
        self.number = 1_000_000 + number
        self.owner = f"owner-{number:06d}"
        self.balance = number * 1.5


accounts = [Account(number) for number in range(150_000)]


@forkprint.step
def read_balances():
    total = 0.0
    for account in accounts:
        total += account.balance


@forkprint.step
def read_everything():
    for account in accounts:
        account.number, account.owner, account.balance
