def count(n):
    sum = 0
    i = 0
    while i < n:
        sum = sum + i * 3 - 1
        if sum > 1000000:
            sum = sum - 1000000
        i = i + 1
    return sum


def run():
    return count(1000000)
