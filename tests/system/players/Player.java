// SPDX-License-Identifier: ISC
// Plays the steps that it reads (see ../harness/players.py), with JDBC; MODE=server prepares at the server.
// A line is: op TAB statement TAB parameter ... with \\, \t and \n escaped; answers are JSON.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;

public class Player {
    static String unescape(String s) {
        StringBuilder b = new StringBuilder();
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (c == '\\' && i + 1 < s.length()) {
                c = s.charAt(++i);
                c = c == 't' ? '\t' : c == 'n' ? '\n' : c;
            }
            b.append(c);
        }
        return b.toString();
    }

    static String quote(String s) {
        if (s == null)
            return "null";
        StringBuilder b = new StringBuilder("\"");
        for (char c : s.toCharArray()) {
            if (c == '"' || c == '\\')
                b.append('\\').append(c);
            else if (c < 0x20 || c > 0x7e)
                b.append(String.format("\\u%04x", (int) c));
            else
                b.append(c);
        }
        return b.append('"').toString();
    }

    static String results(Statement st, boolean isSet) throws SQLException {
        StringBuilder b = new StringBuilder("{\"sets\":[");
        String comma = "";
        while (true) {
            if (isSet) {
                ResultSet rs = st.getResultSet();
                ResultSetMetaData m = rs.getMetaData();
                b.append(comma).append("{\"columns\":[");
                for (int i = 1; i <= m.getColumnCount(); i++)
                    b.append(i > 1 ? "," : "").append(quote(m.getColumnLabel(i)));
                b.append("],\"rows\":[");
                for (int n = 0; rs.next(); n++) {
                    b.append(n > 0 ? ",[" : "[");
                    for (int i = 1; i <= m.getColumnCount(); i++)
                        b.append(i > 1 ? "," : "").append(quote(rs.getString(i)));
                    b.append("]");
                }
                b.append("]}");
            } else {
                int n = st.getUpdateCount();
                if (n == -1)
                    break;
                b.append(comma).append("{\"affected\":").append(n).append("}");
            }
            comma = ",";
            isSet = st.getMoreResults();
        }
        b.append("],\"warnings\":[");
        comma = "";
        for (SQLWarning w = st.getWarnings(); w != null; w = w.getNextWarning()) {
            b.append(comma).append(w.getErrorCode());
            comma = ",";
        }
        return b.append("]}").toString();
    }

    static String play(Connection c, Map<String, PreparedStatement> kept, String[] f) {
        try {
            if (f[0].equals("ping"))
                return c.isValid(5) ? "{\"sets\":[]}" : "{\"error\":\"invalid\"}";
            if (f[0].equals("schema")) {
                c.setCatalog(unescape(f[1]));
                return "{\"sets\":[]}";
            }
            if (f[0].equals("autocommit")) {
                c.setAutoCommit(f[1].equals("1"));
                return "{\"sets\":[]}";
            }
            if (!f[0].startsWith("execute")) {
                try (Statement st = c.createStatement()) {
                    return results(st, st.execute(unescape(f[1])));
                }
            }
            PreparedStatement st = kept.get(f[1]);
            if (st == null)
                kept.put(f[1], st = c.prepareStatement(unescape(f[1])));
            for (int i = 2; i < f.length; i++) {
                if (f[i].equals("\\N"))
                    st.setNull(i - 1, java.sql.Types.VARCHAR);
                else if (f[i].matches("-?[0-9]{1,9}"))
                    st.setInt(i - 1, Integer.parseInt(f[i]));
                else
                    st.setString(i - 1, unescape(f[i]));
            }
            String answer = results(st, st.execute());
            if (!f[0].equals("execute+")) {
                kept.remove(f[1]);
                st.close();
            }
            return answer;
        } catch (SQLException e) {
            return "{\"error\":" + e.getErrorCode() + ",\"state\":" + quote(e.getSQLState()) + "}";
        }
    }

    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.setProperty("user", System.getenv("DBUSER"));
        p.setProperty("password", System.getenv("DBPASSWORD"));
        p.setProperty("useServerPrepStmts", "server".equals(System.getenv("MODE")) ? "true" : "false");
        p.setProperty("allowMultiQueries", "true");
        p.setProperty("allowPublicKeyRetrieval", "true");
        String url = "jdbc:mariadb://" + System.getenv("DBHOST") + ":" + System.getenv("DBPORT") + "/" + System.getenv("DBNAME");
        Map<String, PreparedStatement> kept = new HashMap<>();
        try (Connection c = DriverManager.getConnection(url, p)) {
            System.out.println("{\"ready\":1}");
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line; (line = in.readLine()) != null;) {
                String[] f = line.split("\t", -1);
                if (f[0].equals("close"))
                    break;
                System.out.println(play(c, kept, f));
            }
        } catch (SQLException e) {
            System.out.println("{\"fatal\":" + quote(e.getMessage()) + "}");
            System.exit(1);
        }
        System.out.println("{\"ok\":1}");
    }
}
