// SPDX-License-Identifier: ISC
// JDBC: each line on stdin is a statement, its answer one line of JSON (see ../frozen.py).
import java.io.*;
import java.sql.*;
import java.util.*;

public class Thaw {
	static String quote(String s) {
		StringBuilder b = new StringBuilder("\"");
		for (char c : String.valueOf(s).toCharArray())
			b.append(c == '"' || c == '\\' ? "\\" + c : c < 0x20 || c > 0x7e ? String.format("\\u%04x", (int) c) : "" + c);
		return b.append('"').toString();
	}

	static String run(Connection c, String sql) throws SQLException {
		List<String> rows = new ArrayList<>();
		try (PreparedStatement st = c.prepareStatement(sql)) {
			if (st.execute())
				for (ResultSet r = st.getResultSet(); r.next();) {
					List<String> cells = new ArrayList<>();
					for (int i = 1; i <= r.getMetaData().getColumnCount(); i++)
						cells.add(quote(r.getString(i)));
					rows.add("[" + String.join(",", cells) + "]");
				}
		}
		return "{\"rows\":[" + String.join(",", rows) + "]}";
	}

	public static void main(String[] args) throws Exception {
		Properties p = new Properties();
		p.setProperty("user", System.getenv("DBUSER"));
		p.setProperty("password", System.getenv("DBPASSWORD"));
		p.setProperty("prepareThreshold", "1");
		String url = "jdbc:postgresql://" + System.getenv("DBHOST") + ":" + System.getenv("DBPORT") + "/" + System.getenv("DBNAME");
		Connection c = DriverManager.getConnection(url, p);
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
		for (String line; (line = in.readLine()) != null;) {
			String answer;
			try {
				answer = run(c, line);
			} catch (SQLException e) {
				answer = "{\"error\":" + quote(e.getSQLState()) + ",\"text\":" + quote(e.getMessage()) + "}";
			}
			System.out.println(answer);
			System.out.flush();
		}
	}
}
