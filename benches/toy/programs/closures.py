def counter(step_size):
    n = 0

    def up():
        nonlocal n
        n = n + step_size
        return n

    return up


def use_up(n):
    a = counter(1)
    b = counter(2)
    last = 0
    for i in range(n):
        last = a() + b()
    return last


def run():
    return use_up(150000)
