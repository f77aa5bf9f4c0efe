def sieve(n):
    prime = [True] * (n + 1)
    count = 0
    for i in range(2, n + 1):
        if prime[i]:
            count = count + 1
            k = i * i
            while k <= n:
                prime[k] = False
                k = k + i
    return count


def run():
    return sieve(300000)
