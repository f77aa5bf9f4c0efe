class Account:
    __slots__ = ("total",)

    def __init__(self):
        self.total = 0

    def add(self, n):
        self.total = self.total + n
        return self.total


def feed(account, n):
    last = 0
    for i in range(n):
        last = account.add(i % 5)
    return last


def run():
    return feed(Account(), 200000)
