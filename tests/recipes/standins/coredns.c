/*
 * STAND-IN, not CoreDNS: Debian has no package of it. Answers 200 to the two probes of kubeadm's
 * Deployment (/health on 8080, /ready on 8181), so that its pods become Ready. Resolves nothing.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] =
	"HTTP/1.1 200 OK\r\nServer: nkd-testbed-stand-in\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";

static int listener(int port) {
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in address4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1, zero = 0, fd = socket(AF_INET6, SOCK_STREAM, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
		if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0)
			return fd;
		close(fd);
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&address4, sizeof address4) != 0 || listen(fd, 16) != 0)
		return -1;
	return fd;
}

static void end(int signal) { (void)signal; _exit(0); }

int main(void) {
	struct pollfd ports[] = { { listener(8080), POLLIN, 0 }, { listener(8181), POLLIN, 0 } };
	char request[4096];
	signal(SIGTERM, end);
	signal(SIGINT, end);
	signal(SIGPIPE, SIG_IGN);
	fputs("testbed stand-in for CoreDNS: answers probes, resolves nothing\n", stderr);
	if (ports[0].fd < 0 || ports[1].fd < 0)
		return 1;
	for (;;) {
		if (poll(ports, 2, -1) < 0)
			continue;
		for (int i = 0; i < 2; i++) {
			int client = ports[i].revents & POLLIN ? accept(ports[i].fd, NULL, NULL) : -1;
			if (client < 0)
				continue;
			if (read(client, request, sizeof request) > 0)
				(void)!write(client, answer, strlen(answer));
			close(client);
		}
	}
}
