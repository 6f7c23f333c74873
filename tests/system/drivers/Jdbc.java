// SPDX-License-Identifier: ISC
// The common small program, with the PostgreSQL JDBC driver: statements are prepared on the server from
// the fifth execution on, BEGIN is pipelined before the first statement, fetch size makes portals.
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;

public class Jdbc {
	static void check(boolean ok, String what) {
		if (!ok) throw new AssertionError(what);
	}

	interface Work { void run() throws SQLException; }

	static String code(Work w) {
		try { w.run(); } catch (SQLException e) { return e.getSQLState(); }
		return null;
	}

	static Object one(int i) throws Exception {
		String who = "jdbc " + i;
		Properties p = new Properties();
		p.setProperty("user", System.getenv("DBUSER"));
		p.setProperty("password", System.getenv("DBPASSWORD"));
		p.setProperty("ApplicationName", who);
		String url = "jdbc:postgresql://" + System.getenv("DBHOST") + ":" + System.getenv("DBPORT") + "/" + System.getenv("DBNAME");
		try (Connection c = DriverManager.getConnection(url, p)) {
			ResultSet r = c.createStatement().executeQuery("show application_name");
			check(r.next() && r.getString(1).equals(who), "application name");
			c.setAutoCommit(false);
			try (PreparedStatement in = c.prepareStatement("insert into scratch (who, note) values (?, ?)")) {
				for (int n = 0; n < 3; n++) { in.setString(1, who); in.setString(2, "" + n); in.addBatch(); }
				in.executeBatch();
			}
			try (PreparedStatement up = c.prepareStatement("update scratch set note = 'changed' where who = ? and note = '1'")) {
				up.setString(1, who);
				check(up.executeUpdate() == 1, "update");
			}
			try (PreparedStatement del = c.prepareStatement("delete from scratch where who = ? and note = '2'")) {
				del.setString(1, who);
				check(del.executeUpdate() == 1, "delete");
			}
			c.commit();
			c.createStatement().execute("insert into scratch (who) values ('" + who + "')");
			c.rollback();
			try (PreparedStatement q = c.prepareStatement("select ?::int * 2")) {
				for (int n = 0; n < 30; n++) {
					q.setInt(1, n);
					r = q.executeQuery();
					check(r.next() && r.getInt(1) == 2 * n, "double");
					if (n % 7 == 0) c.commit();
				}
			}
			check("23505".equals(code(() -> c.createStatement().execute("insert into items values (1, 'x', 1)"))), "23505");
			check("25P02".equals(code(() -> c.createStatement().execute("select 1"))), "25P02");
			c.rollback();
			try (Statement s = c.createStatement()) {
				s.setFetchSize(500);
				r = s.executeQuery("select i, repeat('x', 100) from generate_series(1, 20000) i");
				int rows = 0;
				while (r.next()) rows++;
				check(rows == 20000, "large");
			}
			c.commit();
			c.setAutoCommit(true);
			try (PreparedStatement q = c.prepareStatement("select count(*) from scratch where who = ?")) {
				for (int n = 0; n < 10; n++) {
					q.setString(1, who);
					r = q.executeQuery();
					check(r.next() && r.getInt(1) == 2, "count");
				}
			}
			String moved = "jdbc_" + i;
			c.createStatement().execute("create table " + moved + " as select 1 as a, 2 as b");
			try (Connection other = DriverManager.getConnection(url, p); PreparedStatement q = c.prepareStatement("select * from " + moved)) {
				for (int n = 0; n < 10; n++) {
					if (n == 7) other.createStatement().execute("alter table " + moved + " drop a, add c int default 3");
					r = q.executeQuery();
					check(r.next() && r.getInt("b") == 2 && (n < 7 ? r.getInt("a") == 1 : r.getInt("c") == 3), "columns");
				}
			}
			c.createStatement().execute("drop table " + moved);
			c.createStatement().execute("delete from scratch where who = '" + who + "'");
		}
		return null;
	}

	public static void main(String[] args) throws Exception {
		int count = Integer.parseInt(System.getenv("CLIENTS"));
		ExecutorService pool = Executors.newFixedThreadPool(count);
		List<Future<Object>> all = new ArrayList<>();
		for (int i = 0; i < count; i++) { int n = i; all.add(pool.submit(() -> one(n))); }
		for (Future<Object> f : all) f.get();
		pool.shutdown();
		System.out.println("ok");
	}
}
