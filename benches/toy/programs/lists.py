def build(n):
    items = []
    for i in range(n):
        items.append(i * 2)
    sum = 0
    for item in items:
        sum = sum + item
    for i in range(n):
        items[i] = items[i] + 1
    return sum + items[n - 1]


def run():
    return build(200000)
