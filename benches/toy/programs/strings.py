def names(n):
    total = 0
    for i in range(n):
        name = "user-" + str(i % 100)
        if name == "user-7":
            total = total + 1
        total = total + len(name)
    return total


def run():
    return names(100000)
