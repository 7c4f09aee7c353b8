package org.apache.hadoop.ha;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Passes bytes on between clients and a server, and remembers the passwords of the sessions that the server gives. */
final class Proxy {
    private static final int CLOSE_SESSION = -11;

    final int server;
    private final ServerSocket listening;
    private final Set<Socket> sockets = ConcurrentHashMap.newKeySet();
    private final Map<Long, byte[]> passwords = new ConcurrentHashMap<>();

    Proxy(int port, int server) throws IOException {
        this.server = server;
        this.listening = new ServerSocket(port, 64, InetAddress.getLoopbackAddress());
        start(this::accept);
    }

    private static void start(Runnable what) {
        Thread thread = new Thread(what);
        thread.setDaemon(true);
        thread.start();
    }

    private void accept() {
        while (true) {
            try {
                Socket client = listening.accept();
                Socket to = new Socket(InetAddress.getLoopbackAddress(), server);
                client.setTcpNoDelay(true);
                to.setTcpNoDelay(true);
                sockets.add(client);
                sockets.add(to);
                start(() -> pass(client, to, false));
                start(() -> pass(to, client, true));
            } catch (IOException e) {
                if (listening.isClosed()) {
                    return;
                }
            }
        }
    }

    /** The first thing that a server says is a session. */
    private void pass(Socket from, Socket to, boolean isServer) {
        try (from; to) {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            if (isServer) {
                byte[] length = in.readNBytes(4);
                if (length.length == 4) {
                    byte[] answer = in.readNBytes(ByteBuffer.wrap(length).getInt());
                    out.write(length);
                    out.write(answer);
                    remember(ByteBuffer.wrap(answer));
                }
            }
            in.transferTo(out);
        } catch (IOException e) {
            // Either side has closed it: both are closed.
        }
    }

    private void remember(ByteBuffer answer) {
        answer.position(8);
        long session = answer.getLong();
        byte[] password = new byte[answer.getInt()];
        answer.get(password);
        passwords.put(session, password);
    }

    /** Ends a session, as its client would. */
    void closeSession(long session) {
        byte[] password = passwords.get(session);
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), server)) {
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            DataInputStream in = new DataInputStream(socket.getInputStream());
            ByteBuffer connect = ByteBuffer.allocate(45).putInt(0).putLong(0).putInt(30_000).putLong(session).putInt(password.length).put(password).put((byte) 0);
            out.writeInt(connect.position());
            out.write(connect.array(), 0, connect.position());
            in.readNBytes(in.readInt());
            out.writeInt(8);
            out.writeInt(1);
            out.writeInt(CLOSE_SESSION);
            in.readNBytes(in.readInt());
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    void close() throws IOException {
        listening.close();
        for (Socket socket : sockets) {
            socket.close();
        }
    }
}
